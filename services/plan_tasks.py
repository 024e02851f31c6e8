"""Which AI Tasks run for a conversation, which do not, and by which rule: one ledger row each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from domain.contracts import RunRef
from domain.conversation import Channel, Conversation, Role
from domain.engine import EngineConfig, EngineFamily
from domain.fields import answer_schema
from domain.filters import Filter, FilterFacts, in_sample, matches
from domain.ids import derived_id
from domain.ledger import Reason, RunState, TaskRun
from domain.tasks import EffectiveTask, content_hash
from domain.text import word_count
from domain.values import FieldValue
from services.call_plan import CallShape
from services.engine_choice import may_read, why_not_allowed
from services.prompting import SYSTEM_TEXT, PromptFailed, asked, render
from services.reading import Reading, TooLong, read
from storage.protocols import Rendition, Tenant


@dataclass(frozen=True)
class PlanInput:
    """Everything the rules read. `current` are the conversation's values in the ai layer; shape: how much an engine
    reads at once, unless its parameters say so."""

    run: RunRef
    tenant: Tenant
    conversation: Conversation
    rendition: Rendition | None
    tasks: Sequence[EffectiveTask]
    engines: Mapping[str, EngineConfig]
    filters: Mapping[str, Filter]
    facts: FilterFacts
    current: Sequence[FieldValue]
    shape: CallShape = field(default_factory=CallShape)


@dataclass(frozen=True)
class _Verdict:
    state: RunState
    reason: Reason | None = None
    detail: str | None = None


_GO = _Verdict(RunState.PLANNED)


def _skip(reason: Reason, detail: str | None = None) -> _Verdict:
    return _Verdict(RunState.SKIPPED, reason, detail)


def plan_tasks(given: PlanInput) -> tuple[TaskRun, ...]:
    """One row per task, in the tasks' order; the same input gives the same rows with the same ids."""
    return tuple(_plan_one(given, task) for task in given.tasks)


def _plan_one(given: PlanInput, task: EffectiveTask) -> TaskRun:
    verdict = _rules(given, task)
    input_hash = ""
    if verdict is _GO:
        try:
            verdict, input_hash = _asked(given, task)
        except PromptFailed as error:
            verdict = _Verdict(RunState.FAILED, Reason.PROMPT_FAILED, error.message)
    run = given.run
    return TaskRun(
        id=derived_id("task-run", run.conversation_id, str(run.revision), str(run.entry), task.task.id),
        conversation_id=run.conversation_id,
        revision=run.revision,
        entry=run.entry,
        task_id=task.task.id,
        task_slug=task.task.slug,
        task_version=task.version_id,
        engine=task.engine,
        input_hash=input_hash,
        state=verdict.state,
        reason=verdict.reason,
        detail=verdict.detail,
    )


def _asked(given: PlanInput, task: EffectiveTask) -> tuple[_Verdict, str]:
    """What only the rendered prompt can tell: whether it is too long, and whether it has been asked before.
    Raises PromptFailed."""
    assert given.rendition is not None
    turns, config = given.rendition.turns, given.engines[task.engine]
    one = asked(task, given.conversation, turns)
    reading = read(turns, task.spec, one, given.shape.of(config.parameters, external=config.external))
    if isinstance(reading, TooLong):
        return _skip(Reason.TOO_LONG, reading.detail), ""
    input_hash = task_input_hash(given, task, reading)
    stands = _stands(given.current, task, input_hash)
    return (_skip(Reason.UNCHANGED_INPUT) if stands else _GO), input_hash


def _rules(given: PlanInput, task: EffectiveTask) -> _Verdict:
    """The first rule that decides. Cheap ones first; the engine's rules before the ones that need its answer."""
    return _scope(given, task) or _content(given, task) or _engine(given, task) or _GO


def _scope(given: PlanInput, task: EffectiveTask) -> _Verdict | None:
    if given.conversation.channel not in task.spec.channels:
        return _skip(Reason.CHANNEL_NOT_COVERED, f"the task covers {', '.join(c.value for c in task.spec.channels)}")
    condition = given.filters.get(task.task.id)
    if condition is not None and not matches(condition, given.facts):
        return _skip(Reason.FILTERED_OUT, task.spec.filter)
    if not in_sample(given.conversation.id, task.spec.sample):
        return _skip(Reason.SAMPLED_OUT, f"sample {task.spec.sample:.0%}")
    return None


def _content(given: PlanInput, task: EffectiveTask) -> _Verdict | None:
    rendition = given.rendition
    if rendition is None:
        return _skip(Reason.NO_TRANSCRIPT)
    if not rendition.turns:
        return _skip(Reason.NO_SPEECH if given.conversation.channel is Channel.CALL else Reason.TOO_SHORT)
    spoken = [t for t in rendition.turns if t.role not in (Role.AGENT, Role.BOT, Role.SYSTEM)]
    words = sum(word_count(t.text) for t in spoken)
    if len(spoken) < task.spec.min_customer_turns or words < task.spec.min_words:
        return _skip(Reason.TOO_SHORT, f"{words} words from the customer, the task asks for {task.spec.min_words}")
    return None


def _engine(given: PlanInput, task: EffectiveTask) -> _Verdict | None:
    config = given.engines.get(task.engine)
    if config is None or config.family is not EngineFamily.LANGUAGE_MODEL:
        return _Verdict(RunState.FAILED, Reason.ENGINE_NOT_CONFIGURED, task.engine)
    if (forbidden := why_not_allowed(given.tenant, config)) is not None:
        return _skip(Reason.ENGINE_NOT_ALLOWED, forbidden)
    rendition = given.rendition
    assert rendition is not None
    if not may_read(given.tenant, config, rendition):
        return _skip(Reason.NO_NAME_DETECTOR, rendition.language or "language not known")
    return None


def task_input_hash(given: PlanInput, task: EffectiveTask, reading: Reading) -> str:
    """Hash of everything that can change the answer. The rendered prompt stands for every variable it reads, labels
    apart. Raises PromptFailed."""
    rendition = given.rendition
    assert rendition is not None
    read_: dict[str, object] = {
        "rendered": content_hash(render(task, given.conversation, rendition.turns, named=False)),
        "system": content_hash(SYSTEM_TEXT),
    }
    if not reading.whole:
        read_["windows"] = [[window[0].number, window[-1].number] for window in reading.windows]
    return task.input_hash(
        schema=answer_schema(task.fields),
        model=given.engines[task.engine].model,
        turns_hash=rendition.content_hash,
        read=read_,
    )


def _stands(current: Sequence[FieldValue], task: EffectiveTask, input_hash: str) -> bool:
    """Every field of the task already has the value this very input gave."""
    known = {v.field_key for v in current if v.input_hash == input_hash and v.task_id == task.task.id}
    return known >= set(task.spec.field_keys)
