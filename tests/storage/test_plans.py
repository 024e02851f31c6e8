"""Plans as the app role: under a policy Postgres uses an index only when every operator on the way is leakproof.

The statements are those the repositories send: a wrapper around the session explains each of them.
"""

import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest

from domain.contracts import RunRef
from domain.conversation import Channel, Status
from domain.fields import CustomField, FieldType
from domain.ids import new_id
from domain.imports import RowOutcome
from domain.values import Layer
from storage.postgres.conversations import PostgresConversations
from storage.postgres.database import PostgresDatabase
from storage.postgres.dead_letters import PostgresDeadLetters
from storage.postgres.imports import PostgresImports
from storage.postgres.ledger import PostgresLedger
from storage.postgres.renditions import PostgresRenditions
from storage.postgres.runs import PostgresRuns
from storage.postgres.session import Session
from storage.postgres.source_events import PostgresSourceEvents
from storage.postgres.threads import PostgresThreads
from storage.postgres.values import PostgresValues
from storage.protocols import ConversationFilter, Page, Tenant
from tests.support.stack import DatabaseUrls
from tests.support.storage import START, field

ROWS = 5_000


class Explaining(Session):
    """Explains each statement instead of only running it; keeps the plans."""

    def __init__(self, session: Session) -> None:
        super().__init__(session._connection)
        self.plans: list[dict[str, Any]] = []

    async def rows(self, sql: str, *args: object) -> "Any":
        explained = await self._connection.fetchval(f"explain (format json) {sql}", *args)
        (plan,) = explained if isinstance(explained, list) else json.loads(explained)
        self.plans.append(plan["Plan"])
        return await super().rows(sql, *args)

    async def row(self, sql: str, *args: object) -> "Any":
        found = await self.rows(sql, *args)
        return found[0] if found else None


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for child in plan.get("Plans", ()) for node in nodes(child))]


def scans(plan: dict[str, Any]) -> dict[str, set[str]]:
    """Relation or index → the kinds of scan over it."""
    found: dict[str, set[str]] = {}
    for node in nodes(plan):
        if "Scan" in node["Node Type"]:
            name = node.get("Index Name") or node.get("Relation Name") or node["Node Type"]
            found.setdefault(name, set()).add(node["Node Type"])
    return found


@dataclass(frozen=True)
class Many:
    """Two tenants with many conversations, values, entries and letters each."""

    tenant: Tenant
    fields: dict[FieldType, CustomField]
    conversation_id: str
    import_id: str


@pytest.fixture(scope="module")
async def many(db: PostgresDatabase, tenant: Tenant, other: Tenant, database: DatabaseUrls) -> Many:
    fields: dict[FieldType, CustomField] = {}
    imports = ""
    for one in (tenant, other):
        made = {t: field(f"of_{t.value}", t) for t in FieldType}
        fields = made if one is tenant else fields
        async with db.tenant_tx(one.id) as tx:
            await tx.catalog.source("api")
            for of in made.values():
                await tx.catalog.put_field(of)
            await tx.session.execute(_CONVERSATIONS, one.id, ROWS)
            await tx.catalog.source("second")
            for sql in (_REVISION_ROWS, _ENTRIES, _EVENTS, _LETTERS, _RUNS, _OUTBOX, _LINKS, _IMPORTS):
                await tx.session.execute(sql, one.id)
            import_id = str(await tx.session.value("select id from import where tenant_id = $1 limit 1", one.id))
            imports = import_id if one is tenant else imports
            await tx.session.execute(_IMPORT_ROWS, one.id, import_id, ROWS)
            await tx.session.execute(
                _VALUES,
                one.id,
                made[FieldType.INTEGER].id,
                made[FieldType.CHOICE].id,
                made[FieldType.BOOLEAN].id,
                made[FieldType.DATE].id,
            )
    admin = await asyncpg.connect(database.admin)
    await admin.execute("vacuum analyze")
    await admin.close()
    async with db.tenant_tx(tenant.id) as tx:
        (found,) = await tx.conversations.list(ConversationFilter(), Page(limit=1))
    return Many(tenant, fields, found.id, imports)


_IMPORTS = """
insert into import (tenant_id, id, source, source_named, format, media_type, dry_run, content_key, size, sha256, rows,
  volumes, actor, created_at)
select $1, gen_random_uuid(), 'api', true, 'canonical', 'x', false, 'k', 1, repeat('0', 64), '{}', '{}', 'test',
  '2025-01-01'::timestamptz + n * interval '1 minute'
from generate_series(1, 500) n
"""

_IMPORT_ROWS = """
insert into import_row (tenant_id, import_id, number, part, outcome)
select $1, $2, n, 1, case when n % 50 = 0 then 'failed' else 'created' end
from generate_series(1, $3::integer) n
"""


_CONVERSATIONS = """
insert into conversation (tenant_id, id, source, external_id, channel, status, started_at, started_offset_minutes,
  tags, dispositions, metadata, participants, notes, closed, content_key, content_hash)
select $1, gen_random_uuid(), 'api', 'e' || n, (array['chat', 'email', 'call', 'ticket'])[n % 4 + 1],
  case when n % 500 = 0 then 'failed' else 'completed' end, '2025-01-01'::timestamptz + n * interval '1 minute', 0,
  '{}', '{}', '{}', '[]', '[]', true, 'k' || n, 'h' || n
from generate_series(1, $2::integer) n
"""
_REVISION_ROWS = """
insert into rendition (tenant_id, conversation_id, revision, turns, content_hash, redactor, detectors, names_detected,
  sealed_key, notes)
select tenant_id, id, 1, '[]', 'h', 'r', '{}', true, 'k', '[]'
from conversation
where tenant_id = $1
"""
_ENTRIES = """
insert into conversation_entry (tenant_id, conversation_id, revision, entry, lane, channel, enter_at, task_ids, state)
select tenant_id, id, 1, 1, 'live', channel, 'ingest', '{}',
  case when status = 'failed' then 'pending' else 'closed' end
from conversation
where tenant_id = $1
"""
_EVENTS = """
insert into source_event (tenant_id, id, source_id, dedupe, content_key, media_type, size, state, attempts,
  received_at, claimed_until, finished_at, error_type, error)
select s.tenant_id, gen_random_uuid(), s.id, sha256((s.slug || n)::bytea), 'k', 'application/json', 1,
  (array['received', 'received', 'dead_lettered', 'accepted'])[1 + case when n % 500 = 0 then 2 + n % 2 else 0 end],
  1, now() - n * interval '1 minute', now(), now(), 'invalid_input', 'e'
from source s
cross join generate_series(1, 5000) n
where s.tenant_id = $1
"""
_LINKS = """
insert into thread_link (tenant_id, source, link, conversation_id)
select tenant_id, source, sha256(external_id::bytea), id
from conversation
where tenant_id = $1
"""
_LETTERS = """
insert into dead_letter (tenant_id, id, conversation_id, revision, entry, stage, error_type, detail, attempts, first_at,
  last_at)
select tenant_id, gen_random_uuid(), id, 1, 1, 'plan', 'x', 'd', 1, started_at, started_at
from conversation
where tenant_id = $1
"""
_RUNS = """
insert into task_run (tenant_id, id, conversation_id, revision, entry, task_id, task_slug, task_version, input_hash,
  state, attempts, engine_calls)
select tenant_id, gen_random_uuid(), id, 1, 1, gen_random_uuid(), 't', 'v', 'h', 'ran', 1, '{}'
from conversation
where tenant_id = $1
"""
_OUTBOX = """
insert into search_outbox (tenant_id, conversation_id)
select tenant_id, id
from conversation
where tenant_id = $1
"""
_VALUES = """
insert into field_value (tenant_id, id, conversation_id, revision, subject, subject_id, field_id, field_key, layer,
  kind, value, number_value, choice_value, boolean_value, date_value, explanation, evidence, evidence_state,
  turns_read, turns_total, stale, created_at)
select tenant_id, gen_random_uuid(), id, 1, 'conversation', id::text, f.field_id, 'key', 'ai', 'stated', '0',
  case when f.n = 1 then extract(minute from started_at) end,
  case when f.n = 2 then 'option-' || extract(minute from started_at) end,
  case when f.n = 3 then extract(minute from started_at) = 7 end,
  case when f.n = 4 then started_at::date end,
  '', '[]', 'none', 0, 0, false, now()
from conversation
cross join lateral unnest(array[$2, $3, $4, $5]::uuid[]) with ordinality as f (field_id, n)
where tenant_id = $1
"""


@pytest.fixture
async def session(db: PostgresDatabase, many: Many) -> AsyncIterator[Explaining]:
    async with db.tenant_tx(many.tenant.id) as tx:
        yield Explaining(tx.session)


def assert_indexed(session: Explaining, *expected: str) -> None:
    """No relation is read from end to end, and the expected indexes are used."""
    assert session.plans
    used: set[str] = set()
    for plan in session.plans:
        for name, kinds in scans(plan).items():
            assert "Seq Scan" not in kinds, plan
            used.add(name)
    assert set(expected) <= used, used


@pytest.mark.parametrize(
    ("where", "index"),
    [
        (ConversationFilter(), "conversation_by_time"),
        (ConversationFilter(started_from=START), "conversation_by_time"),
        (ConversationFilter(channel=Channel.CALL), "conversation_by_channel"),
        (ConversationFilter(status=Status.FAILED), "conversation_by_status"),
        (ConversationFilter(source="api"), "conversation_by_source"),
    ],
)
@pytest.mark.parametrize("later_page", [False, True])
async def test_lists(many: Many, session: Explaining, where: ConversationFilter, index: str, later_page: bool) -> None:
    page = Page(limit=50, after=(START, new_id()) if later_page else None)
    await PostgresConversations(session, many.tenant.id).list(where, page)

    assert not any(node["Node Type"] == "Sort" for node in nodes(session.plans[0])), session.plans
    assert {name for name in scans(session.plans[0]) if name.startswith("conversation_by")} <= {
        index,
        "conversation_by_time",
    }
    assert_indexed(session)


@pytest.mark.parametrize(
    ("type_", "condition", "index"),
    [
        (FieldType.INTEGER, "number_value < 1", "field_value_by_number"),
        (FieldType.CHOICE, "choice_value = 'option-7'", "field_value_by_choice"),
        (FieldType.BOOLEAN, "boolean_value = true", "field_value_by_boolean"),
        (FieldType.DATE, "date_value > '2025-01-14'", "field_value_by_date"),
    ],
)
async def test_conversations_by_a_fields_value(
    many: Many, session: Explaining, type_: FieldType, condition: str, index: str
) -> None:
    await session.rows(
        f"""
        select conversation_id
        from field_value
        where tenant_id = $1
          and field_id = $2
          and {condition}
          and superseded_at is null
        """,
        many.tenant.id,
        many.fields[type_].id,
    )
    assert_indexed(session, index)


async def test_what_the_pipeline_reads(many: Many, session: Explaining) -> None:
    tenant_id, conversation_id = many.tenant.id, many.conversation_id
    run = RunRef(tenant_id=tenant_id, conversation_id=conversation_id, revision=1, entry=1)
    conversations, runs = PostgresConversations(session, tenant_id), PostgresRuns(session, tenant_id)
    ledger, values = PostgresLedger(session, tenant_id), PostgresValues(session, tenant_id)
    await conversations.get(conversation_id)
    await conversations.find("api", "e77")
    await runs.get(run)
    await runs.list(conversation_id)
    await runs.stages(conversation_id, 1)
    await PostgresRenditions(session, tenant_id).get(conversation_id, 1)
    await ledger.of_entry(run)
    await ledger.of_conversation(conversation_id, 1)
    await ledger.answers(run)
    await ledger.find_call("hash")
    await ledger.calls_of(conversation_id)
    for layer in (None, Layer.AI, Layer.EFFECTIVE):
        await values.current(conversation_id, layer)
    await values.history(conversation_id, "key")
    await values.effective([conversation_id])

    for plan in session.plans:
        big = {"conversation", "rendition", "conversation_entry", "task_run", "field_value"}
        assert not any("Seq Scan" in kinds and name in big for name, kinds in scans(plan).items()), plan


async def test_dead_letters(many: Many, session: Explaining) -> None:
    letters = PostgresDeadLetters(session, many.tenant.id)
    for page in (Page(), Page(after=(START, new_id()))):
        await letters.list(open_only=True, page=page)

    for plan in session.plans:  # a tenant has few sources: they may be read from end to end
        scanned = scans(plan)
        assert "dead_letter_by_time" in scanned, plan
        assert not {"dead_letter", "source_event"} & set(scanned), plan
    assert not any(node["Node Type"] == "Sort" for plan in session.plans for node in nodes(plan))


async def test_events_and_threads(many: Many, session: Explaining) -> None:
    events, threads = PostgresSourceEvents(session, many.tenant.id), PostgresThreads(session, many.tenant.id)
    (source_id,) = [row["id"] for row in await Session.rows(session, "select id from source where slug = 'second'")]
    await threads.find("api", [hashlib.sha256(f"e{n}".encode()).digest() for n in (7, 77)])
    await events.health(source_id)

    big = {"source_event", "thread_link", "conversation"}
    for plan in session.plans:
        assert not any("Seq Scan" in kinds and name in big for name, kinds in scans(plan).items()), plan
    used = {name for plan in session.plans for name in scans(plan)}
    assert {"thread_link_pkey", "source_event_by_time", "source_event_failed"} <= used, used


async def test_imports(many: Many, session: Explaining) -> None:
    imports, runs = PostgresImports(session, many.tenant.id), PostgresRuns(session, many.tenant.id)
    for page in (Page(), Page(after=(START, new_id()))):
        await imports.list(page)
    for after in (None, (100, 1)):
        await imports.rows(many.import_id, outcome=None, after=after, limit=50)
        await imports.rows(many.import_id, outcome=RowOutcome.FAILED, after=after, limit=50)
    await runs.paced(40)

    lists, lines, failed = session.plans[:2], session.plans[2:6:2], session.plans[3:6:2]
    assert all("import_by_time" in scans(plan) for plan in lists)
    assert all("import_row_pkey" in scans(plan) for plan in lines)
    assert all("import_row_failed" in scans(plan) for plan in failed)
    assert "conversation_entry_paced" in scans(session.plans[6])
    # The few failed rows may be fetched by bitmap and then sorted, whichever is cheaper.
    in_order = [*lists, *lines, session.plans[6]]
    assert not any(node["Node Type"] == "Sort" for plan in in_order for node in nodes(plan))


async def test_what_platform_functions_look_through(many: Many, database: DatabaseUrls) -> None:
    """Their statements, explained as the owner they run as: index scans over the outbox, entries and leases."""
    owner = await asyncpg.connect(database.owner)
    try:
        for function, index in (
            ("platform_search_dirty", "search_outbox_due"),
            ("platform_due_entries", "conversation_entry_due"),
            ("platform_due_events", "source_event_due"),
            ("platform_paced_tenants", "conversation_entry_paced"),
        ):
            body = await owner.fetchval("select prosrc from pg_proc where proname = $1", function)
            statement = body.replace("limit most", "limit 100").replace("older_than_seconds", "0::double precision")
            plan = await owner.fetchval(f"explain (format json) {statement}")
            (parsed,) = json.loads(plan)
            used = scans(parsed["Plan"])
            assert index in used, used
            assert "search_outbox" not in used
            assert "conversation_entry" not in used
            assert "source_event" not in used
    finally:
        await owner.close()


async def test_the_policy_costs_no_more_than_a_condition(many: Many, session: Explaining) -> None:
    """The tenant is asked for once a statement, not once a row."""
    await PostgresConversations(session, many.tenant.id).get(many.conversation_id)
    scanned = [n for n in nodes(session.plans[0]) if n.get("Relation Name") == "conversation"]

    assert [n["Node Type"] for n in scanned] == ["Index Scan"]
    assert "current_tenant()" not in str(scanned[0].get("Filter", ""))


async def test_the_check_can_fail(many: Many, session: Explaining) -> None:
    """Containment in jsonb is not leakproof: behind a policy nothing helps but reading the tenant's rows."""
    await session.rows(
        """
        select id
        from conversation
        where tenant_id = $1
          and metadata @> '{"plan": "gold"}'
        """,
        many.tenant.id,
    )
    with pytest.raises(AssertionError):
        assert_indexed(session)
