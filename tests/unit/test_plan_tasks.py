"""Each planning rule, and which of them decides first."""

from typing import Any

import pytest

from domain.conversation import Channel, Role
from domain.filters import FilterFacts, FilterSchema, parse
from domain.ledger import Reason, RunState
from domain.tasks import LongInput
from domain.values import FieldValue, ValueKind
from services.plan_tasks import PlanInput, plan_tasks
from tests.support import samples
from tests.support.samples import NOON, conversation, engine, rendition, run_ref, task, tenant, turns


def given_(one=None, **changes: Any) -> PlanInput:
    one = one or task({"min_words": 3})
    talk = changes.pop("conversation", conversation())
    filters = {}
    if one.spec.filter:
        filters[one.task.id] = parse(one.spec.filter, FilterSchema.of((samples.CSAT,)), now=NOON, zone="UTC")
    base = {
        "run": run_ref(),
        "tenant": tenant(),
        "conversation": talk,
        "rendition": rendition(),
        "tasks": [one],
        "engines": {"offline": engine()},
        "filters": filters,
        "facts": FilterFacts.of(talk),
        "current": (),
    }
    return PlanInput(**base | changes)


def outcome(given: PlanInput):
    (row,) = plan_tasks(given)
    return row.state, row.reason


def test_a_fitting_task_is_planned_with_its_input_hash():
    (row,) = plan_tasks(given_())
    assert (row.state, row.reason) == (RunState.PLANNED, None)
    assert len(row.input_hash) == 64
    assert plan_tasks(given_()) == (row,)


SPANISH = rendition(names_detected=False, language="es")


@pytest.mark.parametrize(
    ("given", "state", "reason"),
    [
        (given_(task({"channels": (Channel.CALL,)})), RunState.SKIPPED, Reason.CHANNEL_NOT_COVERED),
        (given_(task({"filter": "meta.plan = 'silver'"})), RunState.SKIPPED, Reason.FILTERED_OUT),
        (given_(task({"sample": 1e-9})), RunState.SKIPPED, Reason.SAMPLED_OUT),
        (given_(rendition=None), RunState.SKIPPED, Reason.NO_TRANSCRIPT),
        (given_(rendition=rendition(turns=())), RunState.SKIPPED, Reason.TOO_SHORT),
        (
            given_(rendition=rendition(turns=()), conversation=conversation(channel=Channel.CALL)),
            RunState.SKIPPED,
            Reason.NO_SPEECH,
        ),
        (
            given_(task({"min_words": 3}), rendition=rendition(turns=turns((Role.CUSTOMER, "hi there")))),
            RunState.SKIPPED,
            Reason.TOO_SHORT,
        ),
        (
            given_(rendition=rendition(turns=turns((Role.AGENT, "a long monologue by nobody but the agent")))),
            RunState.SKIPPED,
            Reason.TOO_SHORT,
        ),
        (given_(engines={}), RunState.FAILED, Reason.ENGINE_NOT_CONFIGURED),
        (given_(tenant=tenant(allowed_engines=("gemini",))), RunState.SKIPPED, Reason.ENGINE_NOT_ALLOWED),
        (
            given_(engines={"offline": engine(external=True)}, rendition=SPANISH),
            RunState.SKIPPED,
            Reason.NO_NAME_DETECTOR,
        ),
        (
            given_(
                engines={"offline": engine(external=True)}, rendition=SPANISH, tenant=tenant(external_languages=("es",))
            ),
            RunState.PLANNED,
            None,
        ),
        (given_(rendition=SPANISH), RunState.PLANNED, None),
        (
            given_(
                task({"min_words": 3, "long_input": LongInput.SKIP}),
                engines={"offline": engine(parameters={"context_tokens": 10})},
            ),
            RunState.SKIPPED,
            Reason.TOO_LONG,
        ),
        (given_(task({"prompt": "{{ nothing_like_it }}"})), RunState.FAILED, Reason.PROMPT_FAILED),
        (given_(task({"prompt": "{{ ''.__class__.__mro__ }}"})), RunState.FAILED, Reason.PROMPT_FAILED),
        (given_(task({"prompt": "{{ 1 / 0 }}"})), RunState.FAILED, Reason.PROMPT_FAILED),
    ],
)
def test_each_rule_names_itself(given, state, reason):
    assert outcome(given) == (state, reason)


def test_words_nobody_is_known_to_have_said_count_for_the_customer():
    mono = rendition(turns=turns((Role.UNKNOWN, "hello my internet has been down for days now")))
    assert outcome(given_(rendition=mono))[0] is RunState.PLANNED


def test_an_unchanged_input_is_not_asked_again_and_a_changed_one_is():
    (row,) = plan_tasks(given_())
    value = FieldValue(
        id=samples.CSAT.id,
        tenant_id=samples.TENANT,
        conversation_id=row.conversation_id,
        revision=1,
        subject_id=row.conversation_id,
        field_id=samples.CSAT.id,
        field_key="csat",
        kind=ValueKind.UNKNOWN,
        value=None,
        task_id=row.task_id,
        input_hash=row.input_hash,
        created_at=NOON,
    )
    assert outcome(given_(current=(value,))) == (RunState.SKIPPED, Reason.UNCHANGED_INPUT)
    changed = task({"min_words": 3, "prompt": "Another question."})
    assert outcome(given_(changed, current=(value,)))[0] is RunState.PLANNED


@pytest.mark.parametrize(
    "changes",
    [
        {"rendition": rendition(content_hash="1" * 64)},
        {"engines": {"offline": engine(model="offline-2")}},
        {"conversation": conversation(channel=Channel.TICKET)},
    ],
)
def test_whatever_the_answer_depends_on_is_in_the_input_hash(changes):
    (before,), (after,) = plan_tasks(given_()), plan_tasks(given_(**changes))
    assert before.input_hash != after.input_hash
