"""Pools of asyncpg connections and transactions on them: codecs, timeouts, no needless round trips."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import asyncpg
from pydantic_core import from_json, to_json

from domain.errors import Unavailable
from storage.postgres.errors import DRIVER_ERRORS, ConnectionLost, StorageDefect, domain_errors
from storage.postgres.session import Session

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    from storage.postgres.session import AnyConnection

ACQUIRE_SECONDS = 10.0
"""How long to wait for a free connection before saying that the database is not available."""

_JSONB_VERSION = b"\x01"


class PoolUse(NamedTuple):
    """Connections of a pool: how many work, how many wait for work, and how many there may be."""

    used: int
    idle: int
    most: int

    @classmethod
    def of(cls, pool: "asyncpg.Pool[asyncpg.Record]") -> "PoolUse":
        idle = pool.get_idle_size()
        return cls(used=pool.get_size() - idle, idle=idle, most=pool.get_max_size())


async def open_pool(
    url: str, *, minimum: int, maximum: int, timeout_seconds: float, application_name: str
) -> "asyncpg.Pool[asyncpg.Record]":
    """A pool in the running loop. Statements end after `timeout_seconds`, waits for locks after a third of it."""
    milliseconds = int(timeout_seconds * 1000)
    return await asyncpg.create_pool(
        url,
        min_size=minimum,
        max_size=maximum,
        timeout=min(10.0, timeout_seconds),
        # A little longer than the server's own limit: this one is for a server that no longer answers.
        command_timeout=timeout_seconds + 5,
        max_inactive_connection_lifetime=300,
        init=prepare,
        reset=_leave_as_is,
        server_settings={
            "application_name": application_name,
            "statement_timeout": str(milliseconds),
            "lock_timeout": str(milliseconds // 3),
            "idle_in_transaction_session_timeout": str(milliseconds * 2),
            "timezone": "UTC",
            "jit": "off",
        },
    )


@asynccontextmanager
async def transaction(pool: "asyncpg.Pool[asyncpg.Record]", begin: str = "begin") -> AsyncIterator[Session]:
    """One transaction: leaving the block commits, an exception rolls back. Raises Unavailable, StorageDefect.

    `begin` is what is sent first, in one round trip; each one costs as much as a statement of its own.
    """
    connection = await _begun(pool, begin)
    try:
        yield Session(connection)
        with domain_errors():
            outcome = await connection.execute("commit")
        if outcome != "COMMIT":  # how Postgres ends a transaction in which a statement failed
            raise StorageDefect("an error of this transaction was swallowed; nothing of it was kept")
    except ConnectionLost:
        _discard(connection)
        raise
    except BaseException:
        # What went wrong is the error to tell: when the connection breaks now, the server rolls back.
        with suppress(*DRIVER_ERRORS):
            await connection.execute("rollback")
        raise
    finally:
        await _give_back(pool, connection)


async def _begun(pool: "asyncpg.Pool[asyncpg.Record]", begin: str) -> "PoolConnectionProxy[asyncpg.Record]":
    """A connection with a transaction begun. What broke while it was idle (Postgres was restarted) is replaced:
    nothing has happened on it yet."""
    for _ in range(pool.get_max_size()):
        with domain_errors():
            connection = await pool.acquire(timeout=ACQUIRE_SECONDS)
        try:
            with domain_errors():
                await connection.execute(begin)
        except BaseException as error:
            _discard(connection)
            await _give_back(pool, connection)
            if not isinstance(error, ConnectionLost):
                raise
        else:
            return connection
    raise Unavailable("no connection to the database can be had")


def _discard(connection: "PoolConnectionProxy[asyncpg.Record]") -> None:
    with suppress(asyncpg.InterfaceError):  # asyncpg has noticed by itself
        connection.terminate()


async def _give_back(pool: "asyncpg.Pool[asyncpg.Record]", connection: "PoolConnectionProxy[asyncpg.Record]") -> None:
    with suppress(*DRIVER_ERRORS):  # the connection is closed then, and the outcome is known already
        await pool.release(connection)


async def prepare(connection: "AnyConnection") -> None:
    """uuid as text and jsonb as Python values (models included) on this connection."""
    await connection.set_type_codec(
        "uuid",
        schema="pg_catalog",
        encoder=str,
        decoder=str,
        format="text",
    )
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=_jsonb_bytes,
        decoder=_jsonb_value,
        format="binary",
    )


async def _leave_as_is(connection: "AnyConnection") -> None:
    """Nothing outlives a transaction here, so there is nothing to clear with a round trip. (An open transaction asyncpg
    rolls back by itself.)"""


def _jsonb_bytes(value: object) -> bytes:
    return _JSONB_VERSION + to_json(value)


def _jsonb_value(data: bytes) -> Any:
    return from_json(bytes(data)[1:])
