"""What a migration is written with: SQL files in a folder, run in the order of their names.

In the files, `:"app"` and `:"platform"` stand for the role names as identifiers and `:'app'`, `:'platform'` for the
same as texts, as in psql (`psql -v app=parley_app …` runs a file by hand).
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import psycopg
from alembic import context, op
from psycopg import sql

from domain.errors import ParleyError

SQL_FOLDER = Path(__file__).parent / "sql"

_VARIABLE = re.compile(r""":(?:"(?P<identifier>app|platform)"|'(?P<text>app|platform)')""")


class MigrationFailed(ParleyError):
    """The schema could not be brought up to date; nothing of the failed step was kept."""

    code = "migration_failed"
    title = "The database could not be migrated"


@dataclass(frozen=True)
class Roles:
    """Names of the roles the schema is granted to."""

    app: str = "parley_app"
    platform: str = "parley_platform"

    @classmethod
    def from_environment(cls) -> "Roles":
        """`PARLEY_APP_ROLE` and `PARLEY_PLATFORM_ROLE`, or the usual names."""
        return cls(
            app=os.environ.get("PARLEY_APP_ROLE") or cls.app,
            platform=os.environ.get("PARLEY_PLATFORM_ROLE") or cls.platform,
        )


def run_sql_folder(name: str) -> None:
    """Runs the SQL files of `sql/{name}` in the order of their names, inside the migration's transaction."""
    # Through psycopg itself: SQLAlchemy always passes parameters, and then Postgres takes one statement only.
    driver = op.get_bind().connection.driver_connection
    connection = cast("psycopg.Connection[tuple[object, ...]]", driver)
    roles = cast(Roles, context.config.attributes["roles"])
    for path in sorted((SQL_FOLDER / name).glob("*.sql")):
        statements = _with_roles(path.read_text(encoding="utf-8"), roles, connection)
        connection.execute(statements.encode())


def refuse_downgrade(revision: str) -> None:
    """Going back would lose data: restore a backup instead."""
    raise MigrationFailed(f"revision {revision} cannot be undone: restore a backup taken before it")


def _with_roles(text: str, roles: Roles, connection: "psycopg.Connection[tuple[object, ...]]") -> str:
    names = {"app": roles.app, "platform": roles.platform}

    def replace(match: re.Match[str]) -> str:
        if match["identifier"]:
            return sql.Identifier(names[match["identifier"]]).as_string(connection)
        return sql.Literal(names[match["text"]]).as_string(connection)

    return _VARIABLE.sub(replace, text)
