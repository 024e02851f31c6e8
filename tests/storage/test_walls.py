"""Row-level security at work, below the repositories: what the app role can do with plain SQL."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import psycopg
import pytest
from psycopg import sql

from tests.support.stack import DatabaseUrls, PostgresServer

Connection = psycopg.Connection[tuple[object, ...]]

MINE, THEIRS, PARTNER, SIBLING = "a" * 32, "b" * 32, "c" * 32, "d" * 32

_SAMPLES = {
    "uuid": "gen_random_uuid()",
    "text": "md5(random()::text)",
    "integer": "1",
    "bigint": "1",
    "double precision": "1",
    "boolean": "true",
    "jsonb": "'{}'::jsonb",
    "bytea": "sha256(random()::text::bytea)",
    "date": "current_date",
    "timestamp with time zone": "now()",
    "tsvector": "''::tsvector",
}


@dataclass(frozen=True)
class Filled:
    """A database in which every table of tenants has a row of MINE and one of THEIRS."""

    urls: DatabaseUrls
    tables: dict[str, str]
    """Table → the column that says whose a row is."""

    def app(self) -> Connection:
        return psycopg.connect(self.urls.app)


@pytest.fixture(scope="module")
def filled(postgres: PostgresServer) -> Iterator[Filled]:
    """Checks and references are dropped first, so that a row of any table can be made up from its columns' types."""
    urls = postgres.new_database()
    with psycopg.connect(urls.admin, autocommit=True) as admin:
        admin.execute(
            """
            do $$
            declare
              c record;
            begin
              for c in
                select conrelid::regclass as target, conname
                from pg_constraint
                where contype in ('f', 'c')
                  and conrelid <> 0
                  and connamespace = 'public'::regnamespace
                order by contype desc
              loop
                execute format('alter table %s drop constraint if exists %I', c.target, c.conname);
              end loop;
            end
            $$
            """
        )
        _levels(admin)
        tables = _tables(admin)
        for table, column in tables.items():
            for owner in (MINE, THEIRS):
                _make_row(admin, table, column, owner)
    yield Filled(urls, tables)
    postgres.drop_database(urls.name)


def _levels(admin: Connection) -> None:
    for owner, level, parent in (
        (PARTNER, "partner", "operator"),
        (SIBLING, "partner", "operator"),
        (MINE, "tenant", PARTNER),
        (THEIRS, "tenant", SIBLING),
    ):
        admin.execute(
            "insert into owner (id, level, parent_id, slug, name) values (%s, %s, %s, %s, 'x')",
            (owner, level, parent, owner[:5]),
        )
        if level == "tenant":
            admin.execute(
                """
                insert into tenant (id, slug, name, cell, time_zone, languages, partner_id, audio_retention_days,
                  text_retention_days, insight_retention_days)
                values (%s, %s, 'x', 'main', 'UTC', '{}', %s, 1, 1, 1)
                """,
                (owner, owner[:5], parent),
            )


def _tables(admin: Connection) -> dict[str, str]:
    rows = admin.execute(
        """
        select c.relname, a.attname
        from pg_class c
        join pg_attribute a on a.attrelid = c.oid and a.attname in ('tenant_id', 'owner_id')
        where c.relnamespace = 'public'::regnamespace
          and c.relkind = 'r'
        """
    ).fetchall()
    return {str(table): str(column) for table, column in rows}


def _make_row(admin: Connection, table: str, column: str, owner: str) -> None:
    columns = admin.execute(
        """
        select attname, format_type(atttypid, null)
        from pg_attribute
        where attrelid = %s::regclass
          and attnum > 0
          and not attisdropped
          and attidentity = ''
          and attgenerated = ''
          and (attnotnull or attname = %s)
        """,
        (table, column),
    ).fetchall()
    names = [sql.Identifier(str(name)) for name, _ in columns]
    values = [
        sql.Literal(owner) if name == column else sql.SQL(_SAMPLES.get(str(kind), "'{}'")) for name, kind in columns
    ]
    admin.execute(
        sql.SQL("insert into {} ({}) values ({})").format(
            sql.Identifier(table), sql.SQL(", ").join(names), sql.SQL(", ").join(values)
        )
    )


def _as(connection: Connection, tenant: str) -> None:
    connection.execute("select set_config('parley.tenant_id', %s, true)", (tenant,))


def test_every_table_shows_a_tenant_its_own_rows_only(filled: Filled) -> None:
    assert len(filled.tables) > 50
    with filled.app() as app:
        _as(app, MINE)
        for table, column in filled.tables.items():
            query = sql.SQL("select distinct {} from {}").format(sql.Identifier(column), sql.Identifier(table))
            assert app.execute(query).fetchall() == [(MINE,)], table


def _theirs(filled: Filled) -> dict[str, object]:
    """Table → how many rows the other tenant has."""
    counts = {}
    with psycopg.connect(filled.urls.admin) as admin:
        for table, column in filled.tables.items():
            query = sql.SQL("select count(*) from {} where {} = {}").format(
                sql.Identifier(table), sql.Identifier(column), THEIRS
            )
            counts[table] = (admin.execute(query).fetchone() or (None,))[0]
    return counts


def test_no_table_lets_a_tenant_write_into_another(filled: Filled) -> None:
    before = _theirs(filled)
    assert all(before.values())
    with filled.app() as app:
        for table, column in filled.tables.items():
            name, whose = sql.Identifier(table), sql.Identifier(column)
            for attempt in (
                sql.SQL("delete from {} where {} = {}").format(name, whose, THEIRS),
                sql.SQL("update {} set {} = {} where {} = {}").format(name, whose, MINE, whose, THEIRS),
                sql.SQL("update {} set {} = {}").format(name, whose, THEIRS),
            ):
                _as(app, MINE)
                with suppress(psycopg.errors.InsufficientPrivilege):
                    assert app.execute(attempt).rowcount == 0, table
                app.rollback()
    assert _theirs(filled) == before


def test_a_row_cannot_be_added_for_another_tenant(filled: Filled) -> None:
    with filled.app() as app:
        for table, column in filled.tables.items():
            _as(app, MINE)
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                _make_row(app, table, column, THEIRS)
            app.rollback()


@pytest.mark.parametrize("unset", ["never set", "set before", "empty"])
def test_without_a_tenant_every_table_raises(filled: Filled, unset: str) -> None:
    with filled.app() as app:
        for table, column in filled.tables.items():
            if unset == "set before":
                _as(app, MINE)
                app.commit()
                assert app.execute("select current_setting('parley.tenant_id', true)").fetchone() == ("",)
            elif unset == "empty":
                _as(app, "")
            query = sql.SQL("select {} from {}").format(sql.Identifier(column), sql.Identifier(table))
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="no tenant is set"):
                app.execute(query).fetchall()
            app.rollback()


def test_the_owner_is_behind_the_wall_too(filled: Filled) -> None:
    """The schema's owner sees nothing without a tenant, but for configuration and what platform functions need."""
    seen = set()
    with psycopg.connect(filled.urls.owner) as owner:
        for table in (table for table, column in filled.tables.items() if column == "tenant_id"):
            with suppress(psycopg.errors.InsufficientPrivilege):
                owner.execute(sql.SQL("select * from {}").format(sql.Identifier(table))).fetchall()
                seen.add(table)
            owner.rollback()

    assert {table for table in seen if not table.startswith("search_document")} == {
        "tenant_limit",
        "api_key",
        "conversation_entry",
        "conversation_lease",
        "idempotency_key",
        "import",
        "search_outbox",
        "event_outbox",
        "source_event",
        "rollup_delta",  # which tenants have any to fold
    }


def test_configuration_is_inherited_from_ancestors_only(filled: Filled) -> None:
    with psycopg.connect(filled.urls.admin, autocommit=True) as admin:
        for owner in ("operator", PARTNER, SIBLING):
            _make_row(admin, "template", "owner_id", owner)
    try:
        with filled.app() as app:
            _as(app, MINE)
            seen = {row[0] for row in app.execute("select owner_id from template").fetchall()}
            assert seen == {"operator", PARTNER, MINE}
            # Ancestors' rows are seen, not written.
            changed = app.execute("update template set name = 'mine' where owner_id <> %s", (MINE,)).rowcount
            removed = app.execute("delete from template where owner_id <> %s", (MINE,)).rowcount
            assert (changed, removed) == (0, 0)
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                _make_row(app, "template", "owner_id", "operator")
    finally:
        with psycopg.connect(filled.urls.admin, autocommit=True) as admin:
            admin.execute("delete from template where owner_id not in (%s, %s)", (MINE, THEIRS))


def test_the_platform_role_reads_no_table(filled: Filled) -> None:
    with psycopg.connect(filled.urls.platform) as platform:
        for table in (*filled.tables, "tenant", "owner", "leader"):
            _as(platform, MINE)
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied"):
                platform.execute(sql.SQL("select * from {}").format(sql.Identifier(table)))
            platform.rollback()


def test_the_app_role_cannot_call_platform_functions(filled: Filled) -> None:
    with filled.app() as app, pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied"):
        app.execute("select * from platform_tenants()")
