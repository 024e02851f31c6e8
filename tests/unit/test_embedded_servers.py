"""The servers the tests stand on are themselves what they claim to be."""

import asyncpg
import psycopg
import pytest

from tests.support.stack import DatabaseUrls, PostgresServer, TemporalServer


async def test_every_role_reaches_its_database_by_password(database: DatabaseUrls) -> None:
    for url, role in ((database.app, "parley_app"), (database.platform, "parley_platform"), (database.owner, "parley")):
        connection = await asyncpg.connect(url)
        row = await connection.fetchrow(
            "select current_user::text, rolsuper, rolbypassrls from pg_roles where rolname = current_user"
        )
        await connection.close()
        assert row is not None
        assert tuple(row) == (role, False, False)


def test_a_wrong_password_is_refused(database: DatabaseUrls) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(database.app.replace("test-app", "guess"))


def test_no_password_is_refused(database: DatabaseUrls) -> None:
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(database.admin.replace(":test-admin@", "@"))


def test_databases_are_copies_of_one_template(postgres: PostgresServer, database: DatabaseUrls) -> None:
    other = postgres.new_database()
    query = "select count(*) from information_schema.tables where table_schema = 'public'"
    try:
        with psycopg.connect(database.owner) as one, psycopg.connect(other.owner) as two:
            assert one.execute(query).fetchone() == two.execute(query).fetchone()
    finally:
        postgres.drop_database(other.name)


def test_temporal_server_answers(temporal_server: TemporalServer) -> None:
    assert temporal_server.process.poll() is None
