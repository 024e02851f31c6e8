"""The one place that turns what Postgres and asyncpg raise into the domain's errors.

Postgres repeats values in its messages (`Key (external_id)=(…) already exists`), so no message of its passes.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
from asyncpg import exceptions as pg

from domain.errors import Conflict, Forbidden, InvalidInput, NotFound, ParleyError, Unavailable


class StorageDefect(ParleyError):
    """A statement of ours is wrong, for a reason no caller can mend. Names the SQLSTATE only."""

    code = "storage_defect"
    title = "A statement failed in the database"


class ConnectionLost(Unavailable):
    """The connection broke; another one may work."""


_LOST = (
    pg.PostgresConnectionError,
    pg.AdminShutdownError,
    pg.CrashShutdownError,
    asyncpg.InternalClientError,  # what was read at the end of a connection that broke while idle
)
_AWAY = (
    pg.OperatorInterventionError,  # start-up, statement timeout
    pg.InsufficientResourcesError,  # disk, memory, connections
    pg.TransactionRollbackError,  # serialization failure, deadlock
    pg.LockNotAvailableError,
    pg.IdleInTransactionSessionTimeoutError,
    pg.InvalidAuthorizationSpecificationError,
    pg.InvalidCatalogNameError,
)
DRIVER_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)
"""Everything asyncpg raises."""

_TEXT = (pg.CharacterNotInRepertoireError, pg.UntranslatableCharacterError)


@contextmanager
def domain_errors() -> Iterator[None]:
    """Raises Unavailable, Conflict, NotFound, InvalidInput, Forbidden or StorageDefect for what comes through."""
    try:
        yield
    except ParleyError:
        raise
    except DRIVER_ERRORS as error:
        # The frames stay, so that the log shows the statement; the message of Postgres does not.
        raise _translated(error).with_traceback(error.__traceback__) from None


def _translated(error: Exception) -> ParleyError:  # noqa: PLR0911, PLR0912 - a table
    match error:
        case OSError() | TimeoutError():
            return Unavailable("the database does not answer")
        case pg.UniqueViolationError():
            return Conflict(f"this exists already ({error.constraint_name})")
        case pg.ForeignKeyViolationError():
            return NotFound(f"what this belongs to does not exist ({error.constraint_name})")
        case pg.CheckViolationError() | pg.NotNullViolationError():
            return InvalidInput(f"the value is not allowed ({error.constraint_name or error.column_name})")
        case pg.InsufficientPrivilegeError():
            return Forbidden("this belongs to somebody else or may not be changed")
        case pg.InvalidTextRepresentationError():
            return NotFound("no such id")
        case _ if isinstance(error, _TEXT):
            return InvalidInput("a text holds a character that cannot be stored (such as NUL)")
        case _ if isinstance(error, _LOST):
            return ConnectionLost("the connection to the database was lost")
        case _ if isinstance(error, _AWAY):
            return Unavailable("the database is not available")
        case pg.DataError():
            return InvalidInput("a value does not fit its column")
        case asyncpg.PostgresError():
            return StorageDefect(f"the database refused a statement (SQLSTATE {error.sqlstate})")
        case asyncpg.InterfaceError() if "another operation" in str(error):
            return StorageDefect("two statements at once in one transaction")
        case _:  # the connection broke under a statement, or the pool is closing
            return ConnectionLost("the connection to the database was lost")
