"""Some weeks of a small company's conversations, as the pipeline leaves them: for looking at pages.

They are handed in over the API; what workers would have done is then written through the real repositories.
"""

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpx

from domain.canonical import rendition_hash
from domain.clock import utc_now
from domain.contracts import RunRef
from domain.conversation import Note, Role, Stage, StageStatus, Status
from domain.fields import CustomField
from domain.ids import derived_id, new_id
from domain.ledger import Reason, RunState, TaskRun
from domain.turns import Turn
from domain.values import EvidenceState, FieldValue, Quote, ValueKind
from infra.wiring import Storage
from services.fold_rollups import fold_round
from services.index_documents import read_document
from storage.protocols import Rendition, TenantTx
from tests.support.audio_files import encode, tone

AUDIO_SECONDS = 12.0

ATTACK = '<script>window.pwned = 1</script><img src=x onerror="window.pwned = 2">'
RIGHT_TO_LEFT = "مرحبا، وصل الطرد متأخراً 🙁 \u202egnp.exe\u202c شكراً"


@dataclass(frozen=True)
class Scene:
    """A conversation to be played: turns as (role, text, seconds it takes), values as (content, words of a turn)."""

    channel: str
    queue: str
    team: str
    turns: Sequence[tuple[str, str]]
    values: Mapping[str, tuple[Any, str | None]]
    language: str = "en"
    tags: tuple[str, ...] = ()


SCENES: tuple[Scene, ...] = (
    Scene(
        "call", "Billing", "North",
        (
            ("agent", "Good morning, billing, you are talking to Nora. What can I do for you?"),
            ("customer", "I was charged twice for October and I am really annoyed about it."),
            ("agent", "I am sorry about that. I can see the second charge, and I am taking it off now."),
            ("customer", "And this is the third time this year, honestly I am thinking about leaving."),
            ("agent", "I understand. The money is back within five days, and I have put a note on your account."),
        ),
        {
            "csat": (2, "I am really annoyed about it"), "sentiment": ("negative", "I am really annoyed about it"),
            "contact_reason": ("billing", "I was charged twice for October"),
            "churn_risk": ("high", "honestly I am thinking about leaving"),
            "churn_reason": ("Charged twice for the third time this year", "this is the third time this year"),
            "summary": ("The customer was charged twice for October. The agent took the second charge off and promised "
                        "the money within five days.", "I was charged twice for October"),
            "next_actions": ("Agent: check that the refund has arrived within five days",
                             "The money is back within five days"),
        },
        tags=("double-charge",),
    ),
    Scene(
        "chat", "Delivery", "South",
        (
            ("customer", "Hi, my parcel was due on Monday and it is still not here."),
            ("agent", "Let me look: it is at the depot and comes tomorrow before noon."),
            ("customer", "Okay, tomorrow works. Thanks for looking it up so quickly!"),
        ),
        {
            "csat": (4, "Thanks for looking it up so quickly"), "sentiment": ("positive", "Thanks for looking it up"),
            "contact_reason": ("delivery", "my parcel was due on Monday"), "churn_risk": (None, None),
            "summary": ("The customer asked about a late parcel. It is at the depot and comes the next day.",
                        "my parcel was due on Monday"),
            "next_actions": (None, None),
        },
    ),
    Scene(
        "email", "Returns", "South",
        (
            ("customer", "Return of a lamp\n\nThe lamp arrived with a crack in its base. I would like my money back."),
            ("agent", "We are sorry. Please send it back with the label attached; the refund follows within a week."),
        ),
        {
            "csat": (None, None), "sentiment": ("neutral", "I would like my money back"),
            "contact_reason": ("refund_return", "I would like my money back"), "churn_risk": (None, None),
            "summary": ("The customer returns a cracked lamp and asks for a refund, which follows within a week.",
                        "The lamp arrived with a crack in its base"),
            "next_actions": ("Customer: send the lamp back with the label\nAgent: refund within a week",
                             "Please send it back with the label"),
        },
    ),
    Scene(
        "ticket", "Technical", "North",
        (
            ("customer", "The app logs me out every few minutes since the update. I cannot work like this."),
            ("agent", "A fix is out: please update to 4.2.1 and tell me whether it stays."),
            ("customer", "Updated, it has been stable all day. Great support, thank you so much."),
        ),
        {
            "csat": (5, "Great support, thank you so much"), "sentiment": ("mixed", "I cannot work like this"),
            "contact_reason": ("technical_issue", "The app logs me out every few minutes"),
            "churn_risk": ("low", "Great support"),
            "summary": ("The app logged the customer out again and again. An update solved it.", "it has been stable"),
            "next_actions": (None, None),
        },
    ),
    Scene(
        "call", "Technical", "North",
        (
            ("agent", "Technical support, this is Jonas speaking."),
            ("customer", "My router restarts all the time, it started with the storm on Friday."),
            ("agent", "Then it is most likely the power supply. I am sending you another one today."),
            ("customer", "Good, that was easy. I will plug it in when it comes."),
        ),
        {
            "csat": (4, "Good, that was easy"), "sentiment": ("positive", "Good, that was easy"),
            "contact_reason": ("technical_issue", "My router restarts all the time"),
            "churn_risk": ("low", "I will plug it in when it comes"),
            "summary": ("The router restarts since a storm. The agent sends another power supply.",
                        "My router restarts all the time"),
            "next_actions": ("Agent: send a power supply today", "I am sending you another one today"),
        },
    ),
    Scene(
        "chat", "Billing", "North",
        (
            ("customer", "Guten Tag, ich möchte meinen Vertrag zum Jahresende kündigen."),
            ("agent", "Gern, ich habe die Kündigung zum 31. Dezember eingetragen."),
            ("customer", "Danke. Der Preis ist mir einfach zu hoch geworden."),
        ),
        {
            "csat": (3, "Danke"), "sentiment": ("neutral", "ich möchte meinen Vertrag zum Jahresende kündigen"),
            "contact_reason": ("cancellation", "meinen Vertrag zum Jahresende kündigen"),
            "churn_risk": ("high", "meinen Vertrag zum Jahresende kündigen"),
            "churn_reason": ("Price", "Der Preis ist mir einfach zu hoch geworden"),
            "summary": ("The customer cancels the contract at the end of the year because of the price.",
                        "meinen Vertrag zum Jahresende kündigen"),
            "next_actions": (None, None),
        },
        language="de",
    ),
)  # fmt: skip


@dataclass
class Seeded:
    """Ids of what was made, by what is special about it."""

    ids: dict[str, str] = field(default_factory=dict)
    count: int = 0

    def __getitem__(self, name: str) -> str:
        return self.ids[name]


@dataclass
class WebSeeder:
    """Fills one tenant. `client` has a key of all scopes."""

    storage: Storage
    tenant_id: str
    client: httpx.Client
    fields: dict[str, CustomField] = field(default_factory=dict)
    seeded: Seeded = field(default_factory=Seeded)

    async def fill(self, count: int = 45) -> Seeded:
        for task in self.client.get("/v1/tasks").json()["items"]:
            self.client.post(f"/v1/tasks/{task['slug']}/activation", json={}).raise_for_status()
        async with self.storage.database.tenant_tx(self.tenant_id) as tx:
            self.fields = {f.key: f for f in await tx.catalog.fields()}
        dice = random.Random(7)
        for number in range(count):
            scene = SCENES[dice.choice((0, 1, 1, 2, 2, 3, 4, 4, 5))]
            at = utc_now() - timedelta(minutes=dice.randint(60, 29 * 24 * 60))
            await self._play(scene, f"case-{number:03}", at, csat=dice.choice((None, 0, 0, 1, -1)))
        await self._special()
        await fold_round(self.storage.database)
        return self.seeded

    async def _special(self) -> None:
        now = utc_now()
        self.seeded.ids["call"] = await self._play(SCENES[0], "the-call", now - timedelta(hours=3))
        self.seeded.ids["chat"] = await self._play(SCENES[1], "the-chat", now - timedelta(hours=4))
        files = [self._upload(440), self._upload(660)]
        audio: list[dict[str, Any]] = [
            {"id": files[0], "role": "agent"},
            {"id": files[1], "role": "customer", "offset_ms": 1500},
        ]
        two = await self._play(SCENES[4], "two-files", now - timedelta(hours=5), audio=audio)
        self.seeded.ids["two files"] = two
        attack = Scene(
            "chat", ATTACK, "South", (("customer", f"{ATTACK} hello"), ("agent", RIGHT_TO_LEFT)),
            {"csat": (1, "hello"), "summary": (ATTACK, ATTACK)}, tags=(ATTACK[:40],),
        )  # fmt: skip
        self.seeded.ids["attack"] = await self._play(attack, ATTACK, now - timedelta(hours=6), metadata={"x": ATTACK})
        self.seeded.ids["failed"] = await self._broken("failed", Status.FAILED, now - timedelta(hours=7))
        self.seeded.ids["short"] = await self._skipped("too-short", now - timedelta(hours=8))

    # -- one conversation -----------------------------------------------------------------------------------

    async def _play(
        self,
        scene: Scene,
        external_id: str,
        at: datetime,
        *,
        csat: int | None = 0,
        audio: list[dict[str, Any]] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> str:
        """csat: moved by so much, None for unknown."""
        run = self._hand_in(scene, external_id, at, audio, metadata or {"plan": "gold"})
        turns = _turns(scene, at)
        values = dict(scene.values)
        content, words = values["csat"]
        if csat is None:
            values["csat"] = (None, None)
        elif content is not None:
            values["csat"] = (min(5, max(1, content + csat)), words)
        async with self.storage.database.tenant_tx(self.tenant_id) as tx:
            await self._words(tx, run, turns, scene)
            await tx.values.put([self._value(run, turns, key, *value) for key, value in values.items()])
            await tx.rollups.count_values(run.conversation_id)
            await self._ledger(tx, run, dict.fromkeys(_TASKS, (RunState.RAN, None)))
            await tx.conversations.set_status(run.conversation_id, Status.COMPLETED)
            await tx.runs.close(run)
        await self._index(run)
        self.seeded.count += 1
        return run.conversation_id

    async def _broken(self, external_id: str, status: Status, at: datetime) -> str:
        run = self._hand_in(SCENES[1], external_id, at, None, {})
        async with self.storage.database.tenant_tx(self.tenant_id) as tx:
            await tx.runs.hold(run)
            await tx.runs.stage(run, Stage.INGEST, StageStatus.COMPLETED)
            error = "content_damaged: the content does not decrypt"
            await tx.runs.stage(run, Stage.NORMALIZE, StageStatus.FAILED, attempt=5, error=error)
            await tx.conversations.set_status(run.conversation_id, status, "content_damaged")
            await tx.runs.close(run)
        await self._index(run)
        self.seeded.count += 1
        return run.conversation_id

    async def _skipped(self, external_id: str, at: datetime) -> str:
        scene = Scene("chat", "Delivery", "South", (("customer", "Hello?"),), {})
        run = self._hand_in(scene, external_id, at, None, {})
        async with self.storage.database.tenant_tx(self.tenant_id) as tx:
            await self._words(tx, run, _turns(scene, at), scene)
            await self._ledger(tx, run, dict.fromkeys(_TASKS, (RunState.SKIPPED, Reason.TOO_SHORT)))
            await tx.conversations.set_status(run.conversation_id, Status.COMPLETED)
            await tx.runs.close(run)
        await self._index(run)
        self.seeded.count += 1
        return run.conversation_id

    def _hand_in(
        self,
        scene: Scene,
        external_id: str,
        at: datetime,
        audio: list[dict[str, Any]] | None,
        metadata: dict[str, Any],
    ) -> RunRef:
        body: dict[str, Any] = {
            "source": {"call": "phone", "chat": "web-chat", "email": "mailbox", "ticket": "helpdesk"}[scene.channel],
            "external_id": external_id,
            "channel": scene.channel,
            "started_at": at.isoformat(),
            "queue": scene.queue,
            "team": scene.team,
            "language": scene.language,
            "tags": list(scene.tags),
            "metadata": metadata,
            "participants": [
                {"id": "a1", "role": "agent", "name": "Nora Falk"},
                {"id": "c1", "role": "customer", "name": "Priya Nair", "address": "priya@example.com"},
            ],
        }
        if scene.channel == "call":
            body["audio"] = audio or [{"id": self._upload(440), "channels": ["agent", "customer"]}]
        else:
            authors = {"agent": "a1", "customer": "c1"}
            body["messages"] = [
                {"author": authors[role], "at": (at + timedelta(minutes=n)).isoformat(), "text": text}
                for n, (role, text) in enumerate(scene.turns)
            ]
        answer = self.client.post("/v1/conversations", json=body)
        assert answer.status_code == 202, answer.text
        return RunRef(tenant_id=self.tenant_id, conversation_id=answer.json()["id"], revision=1, entry=1)

    def _upload(self, hertz: float) -> str:
        wav = encode(tone(AUDIO_SECONDS, 8_000, hertz), 8_000)
        promise = {"size": len(wav), "sha256": hashlib.sha256(wav).hexdigest()}
        opened = self.client.post("/v1/uploads", json=promise).json()
        assert self.client.put(opened["url"], content=wav).status_code in (200, 201, 204)
        return str(opened["id"])

    async def _words(self, tx: TenantTx, run: RunRef, turns: tuple[Turn, ...], scene: Scene) -> None:
        await tx.runs.hold(run)
        stages = (Stage.INGEST, Stage.NORMALIZE, Stage.PLAN, Stage.ANALYZE, Stage.PERSIST)
        for stage in (*stages[:1], Stage.TRANSCRIBE, *stages[1:]) if scene.channel == "call" else stages:
            await tx.runs.stage(run, stage, StageStatus.COMPLETED)
        notes = (Note(code="message_id_missing", detail="The id is made from author, time and text."),)
        await tx.renditions.put(
            Rendition(
                conversation_id=run.conversation_id,
                revision=1,
                turns=turns,
                content_hash=rendition_hash(turns, "test-1"),
                redactor="test-1",
                detectors=("patterns", "names:en"),
                names_detected=True,
                language=scene.language,
                sealed_key="sealed",
                notes=notes,
            )
        )
        milliseconds = round(AUDIO_SECONDS * 1000) if scene.channel == "call" else None
        await tx.conversations.set_measured(run.conversation_id, duration_ms=milliseconds)

    async def _ledger(self, tx: TenantTx, run: RunRef, states: Mapping[str, tuple[RunState, Reason | None]]) -> None:
        tasks = {task.task.slug: task for task in await tx.catalog.effective_tasks()}
        await tx.ledger.plan(
            [
                TaskRun(
                    id=derived_id("task-run", run.workflow_id, tasks[slug].task.id),
                    conversation_id=run.conversation_id,
                    revision=1,
                    entry=1,
                    task_id=tasks[slug].task.id,
                    task_slug=slug,
                    task_version=tasks[slug].version_id,
                    engine=tasks[slug].engine,
                    input_hash="e" * 64,
                    state=state,
                    reason=reason,
                )
                for slug, (state, reason) in states.items()
            ]
        )

    def _value(self, run: RunRef, turns: Sequence[Turn], key: str, content: Any, words: str | None) -> FieldValue:
        known = content is not None
        quotes = (_quote(turns, words),) if known and words else ()
        return FieldValue(
            id=new_id(),
            tenant_id=self.tenant_id,
            conversation_id=run.conversation_id,
            revision=1,
            subject_id=run.conversation_id,
            field_id=self.fields[key].id,
            field_key=key,
            kind=ValueKind.INFERRED if known else ValueKind.UNKNOWN,
            value=content,
            explanation="The customer says so in their own words." if known else "Nothing is said about it.",
            evidence=quotes,
            evidence_state=EvidenceState.VERIFIED if quotes else EvidenceState.NONE,
            evidence_revision=1 if quotes else None,
            task_version="f" * 64,
            engine="offline",
            model="rules-1",
            input_hash="e" * 64,
            run_id=new_id(),
            turns_read=len(turns),
            turns_total=len(turns),
            created_at=utc_now(),
        )

    async def _index(self, run: RunRef) -> None:
        async with self.storage.database.tenant_tx(self.tenant_id) as tx:
            document = await read_document(tx, run.conversation_id)
        await self.storage.search.index([document])
        async with self.storage.database.tenant_tx(self.tenant_id) as tx:
            await tx.conversations.set_searchable([run.conversation_id])


_TASKS = ("csat", "sentiment", "summary", "contact-reason", "churn-risk", "next-actions")


def _turns(scene: Scene, at: datetime) -> tuple[Turn, ...]:
    """Calls have positions, spread over the recording; others times a minute apart."""
    each = AUDIO_SECONDS * 1000 / len(scene.turns)
    made = []
    for n, (role, text) in enumerate(scene.turns):
        place: dict[str, Any] = {"at": at + timedelta(minutes=n)}
        if scene.channel == "call":
            place = {"start_ms": round(n * each), "end_ms": round((n + 1) * each) - 200}
        made.append(Turn(number=n + 1, role=Role(role), participant_id=role[0] + "1", text=text, **place))
    return tuple(made)


def _quote(turns: Sequence[Turn], words: str) -> Quote:
    turn = next(turn for turn in turns if words in turn.text)
    start = turn.text.index(words)
    return Quote(
        turn=turn.number, quote=words, start=start, end=start + len(words), role=turn.role,
        start_ms=turn.start_ms, end_ms=turn.end_ms,
    )  # fmt: skip
