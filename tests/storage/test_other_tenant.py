"""Every method of every repository, tried by one tenant with the other's ids.

The methods are read off the classes: a new one without a case here fails `test_every_method_has_a_case`.
"""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pytest

from domain.audio import AudioFacts
from domain.contracts import RunRef
from domain.conversation import Channel, Conversation, Lane, Leg, Stage, StageStatus, Status
from domain.engine import CallOutcome, EngineCall, EngineConfig, EngineFamily, Usage
from domain.errors import ParleyError
from domain.fields import CustomField
from domain.ids import new_id
from domain.imports import Import, ImportRow, ImportState, RowOutcome
from domain.intake import ConversationPatch
from domain.ledger import RunState, TaskRun
from domain.mapping import Format
from domain.people import NewUser, SessionRecord, User, UserChange, UserRole
from domain.rollups import CONVERSATIONS, Dimension, Period, Step
from domain.sources import EventState
from domain.tasks import AITask, TaskVersion
from domain.values import FieldValue, Layer
from storage.postgres.database import PostgresDatabase, PostgresTenantTx
from storage.postgres.session import Session
from storage.protocols import (
    AnswerRecord,
    ConversationFilter,
    DeadLetter,
    NewConversation,
    Page,
    Recording,
    SealedSecret,
    Source,
    SourceEvent,
    Tenant,
    TranscriptRecord,
    Upload,
)
from tests.support.stack import DatabaseUrls
from tests.support.storage import (
    START,
    accept_in,
    enter,
    field,
    new_conversation,
    rendition,
    task,
    task_run,
    value,
    version,
)

CALL_HASH, KEY, LINK = "request", "key", b"l" * 32
TOKEN_HASH = b"x" * 32
ALWAYS = Period(date(2024, 1, 1), date(2026, 1, 1), "Europe/Berlin", Step.MONTH)


@dataclass(frozen=True)
class Theirs:
    """Everything of the tenant whose things must stay its own."""

    tenant: Tenant
    accepted: NewConversation
    conversation: Conversation
    run: RunRef
    task_run: TaskRun
    letter: DeadLetter
    upload: Upload
    field: CustomField
    value: FieldValue
    task: AITask
    version: TaskVersion
    engine: EngineConfig
    source: Source
    event: SourceEvent
    event_letter: DeadLetter
    transcript: TranscriptRecord
    recording: Recording
    user: User
    session: SessionRecord
    leg: Leg
    import_: Import


Case = Callable[[PostgresTenantTx, Theirs], Awaitable[Any]]

CASES: dict[str, Case] = {
    # The natural key is per tenant: the same one is another conversation here, and the same id another's.
    "conversations.accept": lambda tx, t: tx.conversations.accept(t.accepted),
    "conversations.get": lambda tx, t: tx.conversations.get(t.conversation.id),
    "conversations.find": lambda tx, t: tx.conversations.find(t.conversation.source, t.conversation.external_id),
    "conversations.list": lambda tx, t: tx.conversations.list(ConversationFilter(), Page()),
    "conversations.patch": lambda tx, t: tx.conversations.patch(t.conversation.id, ConversationPatch(queue="mine")),
    "conversations.set_status": lambda tx, t: tx.conversations.set_status(t.conversation.id, Status.FAILED),
    "conversations.set_closed": lambda tx, t: tx.conversations.set_closed(t.conversation.id),
    "threads.find": lambda tx, t: tx.threads.find(t.conversation.source, [LINK]),
    "threads.lock": lambda tx, t: tx.threads.lock(t.conversation.source, [LINK]),
    "threads.link": lambda tx, t: tx.threads.link(t.conversation.source, [b"m" * 32], t.conversation.id),
    "threads.merge": lambda tx, t: tx.threads.merge([t.conversation], t.conversation),
    "events.put": lambda tx, t: tx.events.put(t.event),
    "events.get": lambda tx, t: tx.events.get(t.event.id),
    "events.claim": lambda tx, t: tx.events.claim(t.event.id, 60, again=True),
    "events.release": lambda tx, t: tx.events.release(t.event.id, 60),
    "events.finish": lambda tx, t: tx.events.finish(t.event.model_copy(update={"state": EventState.RECEIVED})),
    "events.health": lambda tx, t: tx.events.health(t.source.id),
    "conversations.set_searchable": lambda tx, t: tx.conversations.set_searchable([t.conversation.id]),
    "conversations.set_measured": lambda tx, t: tx.conversations.set_measured(t.conversation.id, duration_ms=1),
    "runs.enter": lambda tx, t: tx.runs.enter(
        t.conversation.id, 1, enter_at=Stage.PLAN, lane=Lane.LIVE, channel=Channel.CHAT, reason="x"
    ),
    "runs.get": lambda tx, t: tx.runs.get(t.run),
    "runs.list": lambda tx, t: tx.runs.list(t.conversation.id),
    "runs.started": lambda tx, t: tx.runs.started(t.run, "x"),
    "runs.close": lambda tx, t: tx.runs.close(t.run),
    "runs.postpone": lambda tx, t: tx.runs.postpone(t.run, START),
    "runs.hold": lambda tx, t: tx.runs.hold(t.run),
    "runs.stage": lambda tx, t: tx.runs.stage(t.run, Stage.PLAN, StageStatus.FAILED, attempt=9),
    "runs.stages": lambda tx, t: tx.runs.stages(t.conversation.id, 1),
    "runs.backlog_age_seconds": lambda tx, t: tx.runs.backlog_age_seconds(),
    "runs.open_paced": lambda tx, t: tx.runs.open_paced(),
    "runs.paced": lambda tx, t: tx.runs.paced(100),
    "bulk.insert": lambda tx, t: tx.bulk.insert([t.accepted], Lane.BACKFILL),
    "bulk.known": lambda tx, t: tx.bulk.known(
        [(t.conversation.source, t.conversation.external_id, t.accepted.content_hash)]
    ),
    "legs.put": lambda tx, t: tx.legs.put(t.conversation.id, t.conversation.source, [t.leg]),
    "legs.of": lambda tx, t: tx.legs.of(t.conversation.id),
    "imports.create": lambda tx, t: tx.imports.create(t.import_, "me"),
    "imports.get": lambda tx, t: tx.imports.get(t.import_.id),
    "imports.locked": lambda tx, t: tx.imports.locked(t.import_.id),
    "imports.list": lambda tx, t: tx.imports.list(Page()),
    "imports.save": lambda tx, t: tx.imports.save(t.import_.model_copy(update={"state": ImportState.CANCELLED})),
    "imports.add_rows": lambda tx, t: tx.imports.add_rows(
        t.import_.id, [ImportRow(number=9, outcome=RowOutcome.FAILED)]
    ),
    "imports.rows": lambda tx, t: tx.imports.rows(t.import_.id, outcome=None, after=None, limit=10),
    "imports.analysis": lambda tx, t: tx.imports.analysis(t.import_.id),
    "renditions.put_recording": lambda tx, t: tx.renditions.put_recording(t.recording),
    "renditions.recording": lambda tx, t: tx.renditions.recording(t.conversation.id, 1),
    "renditions.put_transcript": lambda tx, t: tx.renditions.put_transcript(t.transcript),
    "renditions.transcript": lambda tx, t: tx.renditions.transcript(t.conversation.id, 1),
    "renditions.put": lambda tx, t: tx.renditions.put(rendition(t.conversation)),
    "renditions.get": lambda tx, t: tx.renditions.get(t.conversation.id, 1),
    "renditions.find": lambda tx, t: tx.renditions.find(t.conversation.id, 1),
    "catalog.fields": lambda tx, t: tx.catalog.fields(),
    "catalog.effective_tasks": lambda tx, t: tx.catalog.effective_tasks(),
    "catalog.task": lambda tx, t: tx.catalog.task(t.task.slug),
    "catalog.tasks": lambda tx, t: tx.catalog.tasks(),
    "catalog.engines": lambda tx, t: tx.catalog.engines(),
    "catalog.sources": lambda tx, t: tx.catalog.sources(),
    "catalog.source": lambda tx, t: tx.catalog.source(t.source.slug),
    "catalog.find_source": lambda tx, t: tx.catalog.find_source(t.source.id),
    "catalog.saw_source": lambda tx, t: tx.catalog.saw_source(t.source),
    "catalog.put_source": lambda tx, t: tx.catalog.put_source(t.source),
    "catalog.put_field": lambda tx, t: tx.catalog.put_field(t.field.model_copy(update={"label": "mine"})),
    "catalog.put_task": lambda tx, t: tx.catalog.put_task(t.task.model_copy(update={"label": "mine"})),
    "catalog.put_version": lambda tx, t: tx.catalog.put_version(t.version),
    "catalog.put_engine": lambda tx, t: tx.catalog.put_engine(t.engine.model_copy(update={"model": "mine"})),
    "catalog.put_engine_secret": lambda tx, t: tx.catalog.put_engine_secret(
        SealedSecret(owner_id=t.tenant.id, owner_level="tenant", name="theirs", key_version=1, sealed=b"mine now")
    ),
    "catalog.activate": lambda tx, t: tx.catalog.activate(t.task.id, t.version.id),
    "catalog.deactivate": lambda tx, t: tx.catalog.deactivate(t.task.id),
    "ledger.plan": lambda tx, t: tx.ledger.plan([t.task_run]),
    "ledger.get": lambda tx, t: tx.ledger.get(t.task_run.id),
    "ledger.of_entry": lambda tx, t: tx.ledger.of_entry(t.run),
    "ledger.of_conversation": lambda tx, t: tx.ledger.of_conversation(t.conversation.id, 1),
    "ledger.record_answers": lambda tx, t: tx.ledger.record_answers(
        [AnswerRecord(task_run=t.task_run.model_copy(update={"state": RunState.FAILED}), values=())]
    ),
    "ledger.answers": lambda tx, t: tx.ledger.answers(t.run),
    "ledger.calls_of": lambda tx, t: tx.ledger.calls_of(t.conversation.id),
    "ledger.find_call": lambda tx, t: tx.ledger.find_call(CALL_HASH),
    "ledger.record_call": lambda tx, t: tx.ledger.record_call(engine_call(), t.conversation.id),
    "ledger.record_calls": lambda tx, t: tx.ledger.record_calls([(engine_call(), ())], t.conversation.id),
    "values.put": lambda tx, t: tx.values.put([t.value.model_copy(update={"id": new_id(), "value": 1})]),
    "values.current": lambda tx, t: tx.values.current(t.conversation.id),
    "values.effective": lambda tx, t: tx.values.effective([t.conversation.id]),
    "values.history": lambda tx, t: tx.values.history(t.conversation.id, t.field.key),
    "values.mark_human_stale": lambda tx, t: tx.values.mark_human_stale(t.conversation.id, 9),
    "rollups.count_values": lambda tx, t: tx.rollups.count_values(t.conversation.id),
    "rollups.fold": lambda tx, t: tx.rollups.fold(1_000),
    "rollups.read": lambda tx, t: tx.rollups.read([t.field.id, CONVERSATIONS], ALWAYS, {}),
    "rollups.choices": lambda tx, t: tx.rollups.choices(),
    "users.add": lambda tx, t: tx.users.add(
        t.user.id, NewUser(email=t.user.email, name="Mine", role=UserRole.VIEWER), "h"
    ),
    "users.list": lambda tx, t: tx.users.list(),
    "users.get": lambda tx, t: tx.users.get(t.user.id),
    "users.find": lambda tx, t: tx.users.find(t.user.email),
    "users.change": lambda tx, t: tx.users.change(t.user.id, UserChange(role=UserRole.OPERATOR)),
    "users.set_password": lambda tx, t: tx.users.set_password(t.user.id, "mine"),
    "users.open_session": lambda tx, t: tx.users.open_session(t.session.model_copy(update={"id": new_id()}), b"y" * 32),
    "users.session": lambda tx, t: tx.users.session(TOKEN_HASH),
    "users.seen": lambda tx, t: tx.users.seen(t.session.id, START + timedelta(hours=2)),
    "users.revoke": lambda tx, t: tx.users.revoke(t.user.id, at=START),
    "outbox.search_dirty": lambda tx, t: tx.outbox.search_dirty(t.conversation.id),
    "outbox.event": lambda tx, t: tx.outbox.event("x", t.conversation.id),
    "dead_letters.put": lambda tx, t: tx.dead_letters.put(t.letter),
    "dead_letters.get": lambda tx, t: tx.dead_letters.get(t.letter.id),
    "dead_letters.list": lambda tx, t: tx.dead_letters.list(open_only=False, page=Page()),
    "dead_letters.of_conversation": lambda tx, t: tx.dead_letters.of_conversation(t.conversation.id),
    "dead_letters.of_event": lambda tx, t: tx.dead_letters.of_event(t.event.id),
    "dead_letters.redriven": lambda tx, t: tx.dead_letters.redriven(t.letter.id, 2),
    "uploads.open": lambda tx, t: tx.uploads.open(t.upload),
    "uploads.get": lambda tx, t: tx.uploads.get(t.upload.id),
    "uploads.stored": lambda tx, t: tx.uploads.stored(t.upload.id, size=1, sha256="b" * 64),
    "uploads.remove": lambda tx, t: tx.uploads.remove(t.upload.id),
    "idempotency.find": lambda tx, t: tx.idempotency.find(KEY, "body"),
    "idempotency.claim": lambda tx, t: tx.idempotency.claim(KEY, "other", abandoned_after_seconds=0),
    "idempotency.renew": lambda tx, t: tx.idempotency.renew(KEY, "other"),
    "idempotency.keep": lambda tx, t: tx.idempotency.keep(KEY, "other", 200, b"mine"),
    "idempotency.release": lambda tx, t: tx.idempotency.release(KEY),
    "audit.record": lambda tx, t: tx.audit.record(
        actor="me", action="x", subject=f"conversation/{t.conversation.id}", origin=None
    ),
}

# Seen from elsewhere there is nothing: these answer an empty hand instead of raising.
EMPTY: dict[str, Any] = {
    "conversations.find": None,
    "conversations.list": [],
    "threads.find": [],
    "events.claim": None,
    "events.health": [],
    "dead_letters.of_event": None,
    "runs.list": [],
    "runs.stages": [],
    "runs.backlog_age_seconds": 0,
    "runs.open_paced": 0,
    "runs.paced": [],
    "bulk.known": [None],
    "legs.of": [],
    "imports.list": [],
    "imports.rows": [],
    "imports.analysis": {},
    "renditions.recording": None,
    "renditions.transcript": None,
    "renditions.find": None,
    "catalog.fields": [],
    "catalog.effective_tasks": [],
    "catalog.task": None,
    "catalog.tasks": [],
    "catalog.engines": [],
    "catalog.sources": [],
    "ledger.of_entry": [],
    "ledger.of_conversation": [],
    "ledger.answers": [],
    "ledger.calls_of": [],
    "ledger.find_call": None,
    "values.current": [],
    "values.effective": [],
    "values.history": [],
    "rollups.fold": 0,
    "rollups.read": [],
    "rollups.choices": dict.fromkeys(Dimension, ()),
    "users.list": [],
    "users.find": None,
    "users.session": None,
    "dead_letters.list": [],
    "dead_letters.of_conversation": [],
    "idempotency.find": None,
}

# These write into the caller's own tenant, whatever id they are given, or change nothing.
OWN = {
    "bulk.insert",
    "imports.create",
    "conversations.accept",
    "conversations.set_searchable",
    "threads.lock",
    "events.release",
    "catalog.source",
    "catalog.saw_source",
    "catalog.put_source",
    "catalog.deactivate",
    "values.mark_human_stale",
    "rollups.count_values",
    "users.add",
    "users.seen",
    "users.revoke",
    "outbox.search_dirty",
    "outbox.event",
    "uploads.open",
    "uploads.remove",
    "idempotency.claim",
    "idempotency.renew",
    "idempotency.keep",
    "idempotency.release",
    "audit.record",
}


def engine_call() -> EngineCall:
    return EngineCall(
        id=new_id(), request_hash=CALL_HASH, engine="e", model="m", outcome=CallOutcome.ANSWERED, usage=Usage()
    )


def methods(tx: PostgresTenantTx) -> set[str]:
    """`repository.method` of everything public that a transaction offers."""
    repositories = {name: thing for name, thing in vars(tx).items() if not isinstance(thing, Tenant | Session)}
    return {
        f"{name}.{method}"
        for name, repository in repositories.items()
        for method, _ in inspect.getmembers(type(repository), inspect.iscoroutinefunction)
        if not method.startswith("_")
    }


@pytest.fixture(scope="module")
async def theirs(db: PostgresDatabase, other: Tenant) -> Theirs:
    accepted = new_conversation("theirs")
    async with db.tenant_tx(other.id) as tx:
        conversation = await accept_in(tx, accepted)
        run = await enter(tx, conversation)
        await tx.runs.hold(run)
        await tx.runs.stage(run, Stage.PLAN, StageStatus.RUNNING)
        of, named = field("theirs"), task("theirs")
        await tx.catalog.put_field(of)
        await tx.catalog.put_task(named)
        await tx.catalog.put_version(one := version(named, ["theirs"]))
        await tx.catalog.activate(named.id, one.id)
        model = EngineConfig(
            id=new_id(), name="theirs", family=EngineFamily.LANGUAGE_MODEL, kind="k", model="m", owner="tenant"
        )
        await tx.catalog.put_engine(model)
        known = value(other, conversation, of, 5, layer=Layer.HUMAN)
        await tx.values.put([known])
        planned = task_run(run, task_id=named.id)
        await tx.ledger.plan([planned])
        await tx.ledger.record_answers([AnswerRecord(task_run=planned, values=(known,))])
        await tx.ledger.record_call(engine_call(), conversation.id)
        await tx.renditions.put(rendition(conversation))
        facts = AudioFacts(
            container="wav", codec="x", sample_rate=8000, channels=1, duration_ms=1, speech_ms=1, talk=None
        )
        recording = Recording(
            conversation_id=conversation.id, revision=1, facts=facts, engine="w", language=None, language_ground="x"
        )
        await tx.renditions.put_recording(recording)
        transcript = TranscriptRecord(
            id=new_id(),
            conversation_id=conversation.id,
            revision=1,
            engine="w",
            model="m",
            language=None,
            language_ground="x",
            segments=1,
            duration_ms=1,
            speakers_separated=False,
            content_key="k",
            content_hash="h",
        )
        await tx.renditions.put_transcript(transcript)
        letter = DeadLetter(
            id=new_id(),
            conversation_id=conversation.id,
            revision=1,
            entry=1,
            stage=Stage.PLAN,
            error_type="x",
            detail="d",
            attempts=1,
            first_at=START,
            last_at=START,
        )
        await tx.dead_letters.put(letter)
        upload = Upload(
            id=new_id(), size=1, sha256=None, media_type="audio/wav", state="open", content_key="k", created_at=START
        )
        await tx.uploads.open(upload)
        await tx.idempotency.keep(KEY, "body", 200, b"theirs")
        await tx.outbox.search_dirty(conversation.id)
        await tx.outbox.event("x", conversation.id)
        await tx.rollups.count_values(conversation.id)
        await tx.rollups.fold(1_000)
        await tx.conversations.set_status(conversation.id, Status.PROCESSING)  # a delta that is not folded
        user = await tx.users.add(new_id(), NewUser(email="a@b.example", name="A", role=UserRole.VIEWER), "hash")
        session = SessionRecord(
            id=new_id(),
            user_id=user.id,
            origin=None,
            created_at=START,
            seen_at=START,
            expires_at=START + timedelta(hours=1),
        )
        await tx.users.open_session(session, TOKEN_HASH)
        leg = Leg(number=1, participant_id="a", started_at=START)
        await tx.legs.put(conversation.id, conversation.source, [leg])
        await enter(tx, conversation, lane=Lane.BACKFILL)
        import_ = Import(
            id=new_id(),
            source="api",
            source_named=True,
            format=Format.CANONICAL,
            media_type="application/x-ndjson",
            name="theirs",
            dry_run=False,
            state=ImportState.WAITING,
            content_key="k",
            size=1,
            sha256="0" * 64,
            created_at=START,
        )
        await tx.imports.create(import_, "them")
        await tx.imports.add_rows(
            import_.id, [ImportRow(number=1, outcome=RowOutcome.CREATED, conversation_id=conversation.id, revision=1)]
        )
        source = await tx.catalog.put_source(
            Source(id=new_id(), slug="theirs", channel=None, time_zone="Asia/Tokyo", settle_minutes=7)
        )
        await tx.threads.link(conversation.source, [LINK], conversation.id)
        event = SourceEvent(
            id=new_id(),
            source_id=source.id,
            dedupe=b"d" * 32,
            content_key="k",
            media_type="application/json",
            size=1,
            state=EventState.ACCEPTED,
            attempts=1,
            received_at=START,
            claimed_until=START,
        )
        await tx.events.put(event)
        event_letter = letter.model_copy(
            update={"id": new_id(), "conversation_id": None, "revision": None, "entry": None, "event_id": event.id}
        )
        await tx.dead_letters.put(event_letter)
    return Theirs(
        tenant=other,
        accepted=accepted,
        conversation=conversation,
        run=run,
        task_run=planned,
        letter=letter,
        upload=upload,
        field=of,
        value=known,
        task=named,
        version=one,
        engine=model,
        source=source,
        event=event,
        event_letter=event_letter,
        transcript=transcript,
        recording=recording,
        user=user,
        session=session,
        leg=leg,
        import_=import_,
    )


async def everything(db: PostgresDatabase, tenant: Tenant) -> dict[str, list[str]]:
    """Every row of the tenant, as text."""
    async with db.tenant_tx(tenant.id) as tx:
        tables = await tx.session.rows(
            """
            select c.relname, a.attname
            from pg_class c
            join pg_attribute a on a.attrelid = c.oid and a.attname in ('tenant_id', 'owner_id')
            where c.relnamespace = 'public'::regnamespace
              and c.relkind = 'r'
              and has_table_privilege(c.oid, 'select')
            """
        )
        found = {}
        for table, column in tables:
            sql = f"select t::text as row from {table} t where {column} = $1 order by 1"
            rows = [row["row"] for row in await tx.session.rows(sql, tenant.id)]
            if rows:
                found[table] = rows
        return found


async def test_every_method_has_a_case(db: PostgresDatabase, tenant: Tenant) -> None:
    async with db.tenant_tx(tenant.id) as tx:
        assert methods(tx) == set(CASES)
    assert not OWN & set(EMPTY)


@pytest.fixture(scope="module")
async def without_policies(database: DatabaseUrls) -> AsyncIterator[PostgresDatabase]:
    """The same repositories for a superuser, to whom no policy applies: what holds is their own predicates."""
    connected = await PostgresDatabase.connect(database.admin, database.platform)
    yield connected
    await connected.close()


@pytest.mark.parametrize("name", sorted(CASES))
@pytest.mark.parametrize("policies", [True, False], ids=["policies", "predicates"])
async def test_the_others_things_are_out_of_reach(
    db: PostgresDatabase,
    without_policies: PostgresDatabase,
    tenant: Tenant,
    theirs: Theirs,
    name: str,
    policies: bool,
) -> None:
    before = await everything(db, theirs.tenant)
    assert len(before) > 20

    answer: Any = None
    failure: ParleyError | None = None
    try:
        async with (db if policies else without_policies).tenant_tx(tenant.id) as tx:
            await tx.catalog.source("api")
            answer = await CASES[name](tx, theirs)
            raise _Undo
    except _Undo:
        pass
    except ParleyError as error:
        failure = error

    if name in EMPTY:
        seen = [x for x in answer if x.slug != "api"] if name == "catalog.sources" else answer
        assert (failure, seen) == (None, EMPTY[name])
    elif name in OWN:
        assert failure is None
        assert theirs.tenant.id not in str(answer)
    else:
        assert failure is not None, answer
        assert failure.code in ("not_found", "conflict", "changed_meanwhile", "forbidden"), failure
    assert await everything(db, theirs.tenant) == before


class _Undo(Exception):
    """Leaves the transaction without a trace, so that the cases do not see each other."""
