"""The whole catalogue is walked: a table that forgot its policy, key, index or grants is found here."""

from collections.abc import Iterator

import psycopg
import pytest

from tests.support.stack import DatabaseUrls

Connection = psycopg.Connection[tuple[object, ...]]

# Tables that belong to nobody, and so have neither tenant_id nor owner_id: nobody but platform functions reads them.
NOBODYS = {"alembic_version", "leader", "sign_in_try", "engine_pace", "engine_place"}
# Levels themselves: their id is the tenant's.
LEVELS = {"owner", "tenant"}

_TABLES = """
select c.relname, c.relrowsecurity, c.relforcerowsecurity,
  array(select a.attname::text from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped),
  array(
    select concat_ws(' ', pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
    from pg_policy p
    where p.polrelid = c.oid and p.polpermissive and p.polroles = '{0}'
  )
from pg_class c
where c.relnamespace = 'public'::regnamespace
  and c.relkind in ('r', 'p')
order by c.relname
"""


def unprotected(connection: Connection) -> list[str]:
    """What is wrong with the tables' row-level security, in words."""
    wrong = []
    for name, enabled, forced, columns, policies in connection.execute(_TABLES).fetchall():
        assert isinstance(columns, list)
        assert isinstance(policies, list)
        if name in NOBODYS:
            continue
        guards = {"tenant_id": "tenant_id = current_tenant()", "owner_id": "owner_id = current_tenant()"}
        guard = next((guards[c] for c in ("tenant_id", "owner_id") if c in columns), None)
        if guard is None and name not in LEVELS:
            wrong.append(f"{name} belongs to nobody")
            continue
        if not enabled or not forced:
            wrong.append(f"{name} has no forced row-level security")
        if not any((guard or "current_tenant()") in policy or "visible_owners" in policy for policy in policies):
            wrong.append(f"{name} has no policy for everybody that asks for the tenant")
    return wrong


@pytest.fixture
def owner(database: DatabaseUrls) -> Iterator[Connection]:
    """Everything done with it is rolled back."""
    with psycopg.connect(database.owner) as connection:
        yield connection
        connection.rollback()


def test_every_table_is_behind_its_policy(owner: Connection) -> None:
    assert unprotected(owner) == []
    found = [row[0] for row in owner.execute("select relname from pg_class where relrowsecurity").fetchall()]
    assert len(found) > 50


@pytest.mark.parametrize(
    "mistake",
    [
        "create table thing (tenant_id text)",
        "create table thing (tenant_id text); alter table thing enable row level security, force row level security",
        "alter table rendition no force row level security",
        "alter table rendition disable row level security",
        "drop policy tenant on rendition",
        "alter policy tenant on rendition using (true) with check (true)",
        "drop policy visible on custom_field; drop policy add on custom_field; drop policy change on custom_field;"
        " drop policy remove on custom_field",
        "create table thing (id text)",
    ],
)
def test_the_walk_finds_mistakes(owner: Connection, mistake: str) -> None:
    owner.execute(mistake.encode())

    assert len(unprotected(owner)) == 1 or "thing" in unprotected(owner)[0]


def test_keys_and_references_carry_the_tenant(owner: Connection) -> None:
    """Primary, unique and foreign keys among tenant tables start with tenant_id: no row can point into another's."""
    loose = owner.execute(
        """
        select c.conrelid::regclass::text, c.conname
        from pg_constraint c
        join pg_attribute a on a.attrelid = c.conrelid and a.attname = 'tenant_id'
        where c.connamespace = 'public'::regnamespace
          and c.contype in ('p', 'u', 'f')
          and c.conkey[1] <> a.attnum
          and (
            c.contype <> 'f'
            or exists (select from pg_attribute f where f.attrelid = c.confrelid and f.attname = 'tenant_id')
          )
        """
    ).fetchall()

    # An API key is looked up before its tenant is known, and is as unique as 256 random bits are.
    assert sorted(str(row[1]) for row in loose) == ["api_key_key_hash_key", "api_key_pkey"]


def test_indexes_start_with_the_tenant(owner: Connection) -> None:
    loose = owner.execute(
        """
        select i.indexrelid::regclass::text
        from pg_index i
        join pg_class t on t.oid = i.indrelid and t.relnamespace = 'public'::regnamespace
        join pg_attribute a on a.attrelid = i.indrelid and a.attname = 'tenant_id'
        where i.indkey[0] <> a.attnum
        """
    ).fetchall()

    # What definer functions look through: platform functions before a tenant is known, and full text.
    assert {str(row[0]) for row in loose if not str(row[0]).startswith("search_document_")} == {
        "api_key_pkey",
        "api_key_key_hash_key",
        "conversation_entry_due",
        "conversation_entry_started",
        "conversation_lease_stale",
        "search_outbox_due",
        "search_outbox_since",
        "event_outbox_due",
        "idempotency_key_by_age",
        "source_event_due",
        "import_open",
    }


def test_numbers_and_times_can_be_filtered_behind_a_policy(owner: Connection) -> None:
    """Comparison of numeric is not leakproof, and a timestamp without zone is nobody's time."""
    found = owner.execute(
        """
        select attrelid::regclass::text, attname
        from pg_attribute
        join pg_class c on c.oid = attrelid and c.relnamespace = 'public'::regnamespace and c.relkind = 'r'
        where atttypid in ('numeric'::regtype, 'timestamp'::regtype, 'real'::regtype)
        """
    ).fetchall()

    assert found == []


def test_the_platform_role_reaches_no_table(owner: Connection, database: DatabaseUrls) -> None:
    granted = owner.execute(
        """
        select relname
        from pg_class
        where relnamespace = 'public'::regnamespace
          and relkind in ('r', 'p', 'v', 'S')
          and case
            when relkind = 'S' then has_sequence_privilege('parley_platform', oid, 'usage, select, update')
            else has_table_privilege('parley_platform', oid, 'select, insert, update, delete, truncate, references')
              or has_any_column_privilege('parley_platform', oid, 'select, insert, update, references')
          end
        """
    ).fetchall()
    assert granted == []
    with psycopg.connect(database.platform) as platform, pytest.raises(psycopg.errors.InsufficientPrivilege):
        platform.execute("select 1 from conversation")


def test_definer_functions_are_pinned_and_for_one_role_only(owner: Connection) -> None:
    rows = owner.execute(
        """
        select p.proname, p.proconfig, has_function_privilege('parley_app', p.oid, 'execute'),
          has_function_privilege('parley_platform', p.oid, 'execute'),
          exists (select from aclexplode(p.proacl) g where g.grantee = 0)
        from pg_proc p
        where p.pronamespace = 'public'::regnamespace
          and p.prosecdef
        """
    ).fetchall()
    assert len(rows) >= 10
    for name, config, app, platform, public in rows:
        assert config == ["search_path=public, pg_temp"], name
        assert not public, name
        assert app != platform, name
        if str(name).startswith("platform_"):
            assert platform, name


def test_roles_are_no_more_than_they_should_be(owner: Connection) -> None:
    rows = owner.execute(
        """
        select rolname, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb
        from pg_roles
        where rolname in ('parley', 'parley_app', 'parley_platform')
        """
    ).fetchall()
    assert len(rows) == 3
    assert not any(any(row[1:]) for row in rows)
    members = owner.execute(
        "select 1 from pg_auth_members m join pg_roles r on r.oid = m.member where r.rolname like 'parley_%'"
    ).fetchall()
    assert members == []


def test_what_never_changes_cannot_be_updated(owner: Connection) -> None:
    """Immutability is a matter of grants, not of good behaviour."""
    may = owner.execute(
        """
        select c.relname || '.' || a.attname
        from pg_class c
        join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
        where c.relname in ('audit_event', 'usage_event', 'transcript', 'field_value', 'task_version', 'rollup_delta',
            'conversation_revision', 'scorecard_revision', 'tombstone')
          and has_column_privilege('parley_app', c.oid, a.attnum, 'update')
        """
    ).fetchall()
    assert {row[0] for row in may} == {
        "transcript.superseded_at",
        "field_value.superseded_at",
        "field_value.stale",
        "task_version.state",
    }
    for table in ("audit_event", "usage_event", "tombstone"):
        assert owner.execute("select has_table_privilege('parley_app', %s, 'delete')", (table,)).fetchone() == (False,)
