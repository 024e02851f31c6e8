"""What the tasks of a conversation cost, counted at the provider's side of the wire: `python -m bench cost`.

A local server speaks the provider's wire format; the service's own calls reach it through the real adapter and SDK.
What a request weighs is counted from what came in, in the order of a provider that puts the schema first, then the
system text, then the messages. Its cache is simulated as strictly as such caches work: a request finds the longest
beginning that it has byte for byte in common with one that was *answered* before it came in, from 1,024 tokens on, in
steps of 128.

Tokens are four bytes of what was sent: a fixed rule for both sides, so that the ratio depends on no tokenizer.

Billed input equivalents: plain tokens 1, tokens read from the cache 0.1, tokens that are written to it because a later
request reads them 1.25.
"""

import asyncio
import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import SecretStr

from bench.agreement import DEFAULT_FOLDERS, load
from bench.insights import ENGINE, five, tasks
from bench.measure import Measurement
from domain.clock import utc_now
from domain.conversation import Channel, Conversation, Role, Status
from domain.engine import EngineCall, EngineConfig, EngineFamily, EngineLimits
from domain.fields import answer_schema
from domain.ids import derived_id
from domain.ledger import RunState, TaskRun
from domain.tasks import EffectiveTask
from domain.tokens import BYTES_PER_TOKEN, estimate
from domain.turns import Turn
from engines.language_models.registry import build
from engines.protocols import AnswerRequest, LanguageModelEngine
from services.analyze_tasks import answer_all
from services.call_plan import CACHE_WRITE, CACHED_READ, CallShape
from services.calls import Caller
from services.prompting import SYSTEM_TEXT, asked
from services.questions import TaskQuestion
from storage.protocols import AnswerRecord, Rendition
from tests.support.gemini_server import Received, Reply, answer, gemini_server
from tests.support.model_provider import Seen, common_prefix

LENGTHS = (300, 1_500, 6_000)
AIMED_AT = 1_500
AIMS = {8: 0.35, 20: 0.30}

CACHED_FROM = 1_024
CACHED_IN_STEPS_OF = 128

CALL_MINUTES = 4
WORDS_A_MINUTE = 150
"""How fast people speak on the telephone, both sides together."""


@dataclass(frozen=True)
class ListPrice:
    """US dollars per million tokens. write: of tokens written to a cache; None where that costs nothing extra."""

    model: str
    input: float
    output: float
    cached: float
    write: float | None
    source: str


PRICES = (
    ListPrice("gemini-2.0-flash", 0.10, 0.40, 0.025, None, "ai.google.dev/gemini-api/docs/pricing, 2025-02"),
    ListPrice("gemini-2.5-flash-lite", 0.10, 0.40, 0.01, None, "ai.google.dev/gemini-api/docs/pricing, 2026-03"),
    ListPrice("gpt-4.1-mini", 0.40, 1.60, 0.10, None, "platform.openai.com/docs/pricing, 2026-06"),
    ListPrice("claude-haiku-4-5", 1.00, 5.00, 0.10, 1.25, "docs.anthropic.com, prompt caching, 2026-03"),
)
"""The first is the model of the engine that ships, and the figure of the bench."""

TRANSCRIPTION_A_MINUTE = 0.0043
"""deepgram nova-3, pre-recorded, deepgram.com/pricing, 2025-01: what hearing the call costs besides, unless the engine
on the premises hears it."""


@dataclass
class _Request:
    """One request: its text in the provider's order, when it came and was answered, and how much was answered.

    schema_last: the same in the order of a provider that puts the schema behind the messages.
    """

    text: str
    schema_last: str
    began: float
    ended: float = 0.0
    output: int = 0


@dataclass(frozen=True)
class Bill:
    """Tokens: all input, of it read from the cache and written to it, and output."""

    calls: int
    input: int
    read: int
    written: int
    output: int

    @property
    def equivalents(self) -> float:
        """Input as plain tokens."""
        return self.input - self.read - self.written + CACHED_READ * self.read + CACHE_WRITE * self.written

    def cost_usd(self, price: ListPrice) -> float:
        plain = self.input - self.read - self.written
        write = price.input if price.write is None else price.write
        total = plain * price.input + self.read * price.cached + self.written * write + self.output * price.output
        return total / 1e6


def with_schema_last(requests: Sequence[_Request]) -> list[_Request]:
    """As a provider of the other order sees them."""
    return [replace(request, text=request.schema_last) for request in requests]


def bill(requests: Sequence[_Request]) -> Bill:
    """What they cost together, in the order they came."""
    reads: list[int] = []
    wrote: dict[int, int] = {}
    for number, request in enumerate(requests):
        hit, source = 0, None
        for earlier, other in enumerate(requests[:number]):
            if other.ended <= request.began:
                common = _cacheable(common_prefix(request.text, other.text))
                if common > hit:
                    hit, source = common, earlier
        reads.append(hit)
        if source is not None:
            wrote[source] = max(wrote.get(source, 0), hit)
    # what a request has read itself it need not write again
    written = sum(max(0, tokens - reads[number]) for number, tokens in wrote.items())
    return Bill(
        calls=len(requests),
        input=sum(estimate(request.text) for request in requests),
        read=sum(reads),
        written=written,
        output=sum(request.output for request in requests),
    )


def _cacheable(characters: int) -> int:
    tokens = characters // BYTES_PER_TOKEN
    return tokens - tokens % CACHED_IN_STEPS_OF if tokens >= CACHED_FROM else 0


@dataclass
class Provider:
    """`GeminiServer.respond`: answers in full, as long as a model does, and keeps what came."""

    requests: list[_Request] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, received: Received) -> Reply:
        seen = Seen(0, received, time.monotonic())
        messages = received.system + "".join(received.parts)
        request = _Request(seen.text, messages + json.dumps(seen.schema), seen.began)
        with self._lock:
            self.requests.append(request)
        text = json.dumps({key: _answer(seen, key) for key in seen.fields}, ensure_ascii=False)
        request.output = estimate(text)
        request.ended = time.monotonic()
        return answer(text, prompt=estimate(request.text), candidates=request.output, total=0)


_EXPLANATION = (
    "The customer says in plain words what went wrong and what they expect, and repeats it after the agent has "
    "answered; nothing later in the conversation takes it back."
)
_TEXT = (
    "The customer got in touch because a delivery had not come on the promised day and nobody had called back. The "
    "agent looked the order up, found that it had been sent to the wrong depot, apologised and arranged a new delivery "
    "for Thursday between eight and ten. The customer asked for the delivery charge to be returned, which the agent "
    "promised for the next invoice. The customer will write again if it is late once more."
)
_LONG_TEXTS = ("summary", "next_actions")


def _answer(seen: Seen, key: str) -> dict[str, Any]:
    """A sentence or two and two quotes, as the system text asks; long texts of seventy words."""
    said = [turn for turn in seen.turns if seen.role_of(key) in (None, turn["role"])] or seen.turns
    longest = sorted(said, key=lambda turn: -len(turn["text"]))[:2]
    given = seen.schema["properties"][key]["properties"]["value"]
    kind = {2: 3, 3: 3, 4: True, 5: [given.get("items", {}).get("enum", [""])[0]]}.get(
        given["type"], _TEXT if key in _LONG_TEXTS else _TEXT.split(". ", maxsplit=1)[0] + "."
    )
    value = given["enum"][0] if "enum" in given else kind
    quotes = [{"turn": turn["turn"], "quote": " ".join(turn["text"].split()[:12])} for turn in longest]
    return {"kind": "inferred", "value": value, "explanation": _EXPLANATION, "evidence": quotes}


def transcript(tokens: int) -> tuple[Turn, ...]:
    """Turns of the demo's English conversations, one after the other, of about so many tokens of words."""
    found: list[Turn] = []
    size = 0
    for turn in _everything_said():
        if size >= tokens:
            break
        found.append(turn.model_copy(update={"number": len(found) + 1}))
        size += estimate(turn.text)
    return tuple(found)


def _everything_said() -> list[Turn]:
    cases = [case for folder in DEFAULT_FOLDERS for case in load(folder) if (case.language or "en") == "en"]
    said = [turn for case in sorted(cases, key=lambda case: not case.name.startswith("call-")) for turn in case.turns]
    return [turn for turn in said if turn.role in (Role.CUSTOMER, Role.AGENT)]


def four_minutes() -> tuple[Turn, ...]:
    """As many turns as four minutes of telephone have words."""
    found: list[Turn] = []
    words = 0
    for turn in _everything_said():
        if words >= CALL_MINUTES * WORDS_A_MINUTE:
            break
        found.append(turn.model_copy(update={"number": len(found) + 1}))
        words += len(turn.text.split())
    return tuple(found)


class _NothingKnown:
    """A call log that keeps nothing: every call is made."""

    def find(self, part: str) -> EngineCall | None:
        return None

    def of_earlier_entry(self, call: EngineCall) -> bool:
        return False

    async def record(self, call: EngineCall, task_ids: Sequence[str]) -> None:
        """Nothing to keep."""


CONVERSATION = Conversation(
    tenant_id="0" * 32,
    id=derived_id("bench", "conversation"),
    source="bench",
    external_id="bench-1",
    channel=Channel.CALL,
    revision=1,
    status=Status.PROCESSING,
    started_at=utc_now(),
    received_at=utc_now(),
    created_at=utc_now(),
    updated_at=utc_now(),
)


def _questions(config: EngineConfig, chosen: Sequence[EffectiveTask], turns: tuple[Turn, ...]) -> list[TaskQuestion]:
    rendition = Rendition(
        conversation_id=CONVERSATION.id,
        revision=1,
        turns=turns,
        content_hash="0" * 64,
        redactor="bench",
        detectors=(),
        names_detected=True,
        language="en",
        sealed_key="",
    )
    runs = [
        TaskRun(
            id=derived_id("bench", "run", task.task.slug),
            conversation_id=CONVERSATION.id,
            revision=1,
            entry=1,
            task_id=task.task.id,
            task_slug=task.task.slug,
            task_version=task.version_id,
            input_hash="",
            state=RunState.PLANNED,
        )
        for task in chosen
    ]
    return [TaskQuestion(run, task, config, CONVERSATION, rendition) for run, task in zip(runs, chosen, strict=True)]


async def ours(
    config: EngineConfig, engine: LanguageModelEngine, chosen: Sequence[EffectiveTask], turns: tuple[Turn, ...]
) -> None:
    """As the service asks. Raises AssertionError when a task is not answered: what is not answered costs nothing."""
    caller = Caller(config, engine, _NothingKnown(), asyncio.Semaphore(4), lambda share: None)
    shape = CallShape().of(config.parameters, external=config.external)
    outcomes = await answer_all(_questions(config, chosen, turns), caller, shape)
    for outcome in outcomes:
        assert isinstance(outcome, AnswerRecord), outcome
        assert outcome.task_run.state is RunState.RAN, outcome.task_run


async def one_call_a_task(
    engine: LanguageModelEngine, chosen: Sequence[EffectiveTask], turns: tuple[Turn, ...]
) -> None:
    """The baseline, fixed here: the same words to the same model, each task by itself with its own schema."""
    for task in chosen:
        one = asked(task, CONVERSATION, turns)
        await engine.answer(
            AnswerRequest(
                system=SYSTEM_TEXT,
                schema=answer_schema(task.fields),
                turns=turns,
                tasks=(one,),
                language="en",
                max_output_tokens=task.spec.max_output_tokens,
            ),
            lambda share: None,
        )


async def sent(chosen: Sequence[EffectiveTask], turns: tuple[Turn, ...], *, plan: bool) -> list[_Request]:
    """What comes in at the provider for one conversation, by our plan or by the baseline."""
    provider = Provider()
    with gemini_server() as server:
        server.respond = provider
        config = EngineConfig(
            id=derived_id("bench", "engine"),
            name=ENGINE,
            family=EngineFamily.LANGUAGE_MODEL,
            kind="gemini",
            model="gemini-2.5-flash",
            endpoint=server.url,
            limits=EngineLimits(concurrency=4),
            external=True,
        )
        engine = build(config, SecretStr("key"))
        if plan:
            await ours(config, engine, chosen, turns)
        else:
            await one_call_a_task(engine, chosen, turns)
    return provider.requests


async def measure() -> list[Measurement]:
    """Ratios at each length, and the cost of a four-minute call with five insights."""
    found = []
    for count, aim in AIMS.items():
        for length in LENGTHS:
            turns = transcript(length)
            ours_, theirs = [await sent(tasks(count), turns, plan=by_plan) for by_plan in (True, False)]
            plan, alone, kind = bill(ours_), bill(theirs), bill(with_schema_last(theirs))
            name = f"input_tokens_ratio_{count}_tasks"
            found.append(
                Measurement(
                    name if length == AIMED_AT else f"{name}_at_{length}",
                    plan.equivalents / alone.equivalents,
                    aim=aim if length == AIMED_AT else None,
                    direction="≤",
                    note=f"{length:,} tokens of transcript: {plan.calls} calls for {count} tasks, "
                    f"{plan.equivalents:,.0f} for {alone.equivalents:,.0f} input tokens",
                    detail={
                        "plan": vars(plan),
                        "one_call_a_task": vars(alone),
                        "ratio_where_the_baseline_caches": round(plan.equivalents / kind.equivalents, 3),
                    },
                )
            )
    return [*found, await _cost()]


async def _cost() -> Measurement:
    turns = four_minutes()
    plan, alone = [bill(await sent(five(), turns, plan=by_plan)) for by_plan in (True, False)]
    by_model = {
        price.model: {
            "usd": plan.cost_usd(price),
            "one_call_a_task_usd": alone.cost_usd(price),
            "source": price.source,
        }
        for price in PRICES
    }
    hearing = TRANSCRIPTION_A_MINUTE * CALL_MINUTES
    return Measurement(
        "cost_per_conversation_usd",
        plan.cost_usd(PRICES[0]),
        "$",
        note=f"a {CALL_MINUTES}-minute call, five insights, {PRICES[0].model} by list; one call a task "
        f"${alone.cost_usd(PRICES[0]):.5f}; hearing it costs {hearing:.4f} besides, or nothing on the premises",
        detail={
            "words": sum(len(turn.text.split()) for turn in turns),
            "plan": vars(plan),
            "one_call_a_task": vars(alone),
            "by_model": by_model,
            "transcription_usd": hearing,
        },
    )
