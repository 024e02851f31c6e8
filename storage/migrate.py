"""Brings the database's schema up to date: `python -m storage.migrate`.

Only the schema: `infra.migrate` adds what ships with the product. Reads the owner's URL from
`PARLEY_MIGRATION_DATABASE_URL` (a URL, or `env:NAME` or `file:/path` of one). Safe to run twice and from several
processes at once: an advisory lock lets one work while the others wait.
"""

import os
import sys
from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from domain.errors import Unavailable
from storage.migrations.steps import MigrationFailed, Roles

URL_VARIABLE = "PARLEY_MIGRATION_DATABASE_URL"

_FOLDER = Path(__file__).parent / "migrations"
_LOCK = 0x7061726C6579  # "parley"
_LOCK_SECONDS = 300


def migrate(url: str, roles: Roles | None = None) -> str:
    """Runs every revision that is missing; returns the revision the schema is at afterwards.

    `url` is the owner's (`postgresql://…`). Role names come from the environment unless given.

    Raises:
        Unavailable: the database does not answer, or another migration holds the lock for minutes.
        MigrationFailed: a step failed; the steps before it stay.
    """
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"), poolclass=NullPool)
    try:
        with engine.connect() as connection:
            _lock(connection)
            config = _config(connection, roles or Roles.from_environment())
            command.upgrade(config, "head")
            connection.commit()
            return _current(connection) or ""
    except (DBAPIError, psycopg.Error) as error:
        reason = error.orig if isinstance(error, DBAPIError) else error
        if getattr(reason, "sqlstate", None) in (None, "55P03"):
            raise Unavailable("the database does not answer, or another migration is running") from None
        raise MigrationFailed(str(reason).strip()) from error


def pending(url: str) -> tuple[str | None, str | None]:
    """(revision of the schema, newest revision there is); equal when nothing is to be done. Raises Unavailable."""
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"), poolclass=NullPool)
    try:
        with engine.connect() as connection:
            head = ScriptDirectory(str(_FOLDER)).get_current_head()
            return _current(connection), head
    except DBAPIError:
        raise Unavailable("the database does not answer") from None


def _lock(connection: Connection) -> None:
    # Held by the session, not a transaction: each revision is a transaction of its own.
    connection.execute(text(f"set lock_timeout = '{_LOCK_SECONDS}s'"))
    connection.execute(text("select pg_advisory_lock(:key)"), {"key": _LOCK})
    connection.commit()


def _config(connection: Connection, roles: Roles) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    config.attributes["roles"] = roles
    return config


def _current(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def owner_url() -> str:
    """The owner's URL from the environment. Raises MigrationFailed when it is not set."""
    value = os.environ.get(URL_VARIABLE, "")
    kind, _, target = value.partition(":")
    if kind == "env":
        value = os.environ.get(target, "")
    elif kind == "file":
        value = Path(target).read_text(encoding="utf-8").strip()
    if not value:
        raise MigrationFailed(f"{URL_VARIABLE} is not set")
    return value


def main() -> int:
    """Migrates and says in one line what came of it; 1 when it failed."""
    try:
        revision = migrate(owner_url())
    except (MigrationFailed, Unavailable) as error:
        sys.stderr.write(f"{error.title}: {error.message}\n")
        return 1
    sys.stdout.write(f"the database is at revision {revision}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
