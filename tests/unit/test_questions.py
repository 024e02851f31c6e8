"""What is asked, and by what it is known again: renaming changes no hash, whatever the answer depends on does."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from domain.conversation import Role
from domain.fields import CustomField, Option, answer_schema
from domain.tasks import EffectiveTask
from engines.language_models.layout import conversation_text, task_text
from services.plan_tasks import PlanInput, plan_tasks
from services.questions import Layout, Part, TaskQuestion, request_hash, request_of
from tests.support import samples
from tests.support.samples import CSAT, MOOD, conversation, engine, rendition, task
from tests.unit.test_plan_tasks import given_

RENAMED = MOOD.model_copy(
    update={
        "label": "Humour",
        "options": (
            Option(id="good", label="Cheerful", meaning="Laughs."),
            Option(id="bad", label="Sour", meaning="Grumbles."),
        ),
    }
)
READS_LABELS = (
    "{{ fields[0].label }}: {% for o in fields[0].options %}{{ o.id }} {{ o.label }} {{ o.meaning }}{% endfor %}"
)


def mood_task(field: CustomField = MOOD, **spec: Any) -> EffectiveTask:
    return task({"prompt": READS_LABELS, "min_words": 3} | spec, (field,), "mood")


def question(one: EffectiveTask, **changes: Any) -> TaskQuestion:
    planned = PlanInput(**vars(given_(one)))
    (run,) = plan_tasks(planned)
    base = {"run": run, "task": one, "config": engine(), "conversation": conversation(), "rendition": rendition()}
    return TaskQuestion(**base | changes)


def part(one: EffectiveTask, **changes: Any) -> Part:
    asked = question(one, **changes)
    return asked.part(asked.turns)


def input_hash(one: EffectiveTask) -> str:
    (row,) = plan_tasks(given_(one))
    assert row.input_hash
    return row.input_hash


def test_renaming_an_option_changes_no_hash_and_the_model_is_told_the_new_name() -> None:
    before, after = mood_task(), mood_task(RENAMED)
    assert input_hash(before) == input_hash(after)
    assert part(before).hash == part(after).hash
    request = request_of([part(after)], Layout.of([part(after)], shared=False))
    assert "`good`: Cheerful. Laughs." in task_text(request)
    assert "Humour: good Cheerful Laughs." in request.tasks[0].prompt
    assert request.schema == answer_schema((MOOD,)), "a schema knows ids only"


@pytest.mark.parametrize(
    "change",
    [
        {"options": (*MOOD.options, Option(id="mixed", label="Mixed"))},
        {"options": (MOOD.options[0], MOOD.options[1].model_copy(update={"retired": True}))},
        {"description": "Only the last words count."},
    ],
)
def test_another_option_or_another_question_changes_them(change: dict[str, Any]) -> None:
    changed = mood_task(MOOD.model_copy(update=change))
    assert input_hash(changed) != input_hash(mood_task())
    assert part(changed).hash != part(mood_task()).hash


@pytest.mark.parametrize("spec", [{"fuse": True}, {"purpose": "Another word for it"}, {"long_from_tokens": 100_000}])
def test_how_a_task_shares_calls_changes_none(spec: dict[str, Any]) -> None:
    assert input_hash(mood_task(**spec)) == input_hash(mood_task())
    assert part(mood_task(**spec)).hash == part(mood_task()).hash


@pytest.mark.parametrize(
    "other",
    [
        lambda: part(mood_task(prompt="Another question.")),
        lambda: part(mood_task(evidence_role=Role.AGENT)),
        lambda: part(mood_task(max_output_tokens=99)),
        lambda: part(mood_task(answer_language="de")),
        lambda: part(mood_task(), config=engine(model="offline-2")),
        lambda: part(mood_task(), config=engine(name="another")),
        lambda: part(mood_task(), config=engine(parameters={"temperature": 0.5})),
        lambda: part(mood_task(), rendition=rendition(content_hash="1" * 64)),
        lambda: question(mood_task()).part(samples.TALK[:2]),
        lambda: replace(part(mood_task())).repaired("mood.value is not one of the options"),
        lambda: part(mood_task()).apart(),
        lambda: part(mood_task()).anew(2),
    ],
)
def test_whatever_the_answer_depends_on_is_in_the_hash(other: Callable[[], Part]) -> None:
    assert other().hash != part(mood_task()).hash


def test_limits_of_calls_are_no_part_of_what_is_asked() -> None:
    limits = engine(parameters={"context_tokens": 9_000, "prefix_cache": True, "fuse_up_to_tokens": 5})
    assert part(mood_task(), config=limits).hash == part(mood_task()).hash


def test_a_call_is_known_by_its_parts_in_any_order_and_a_part_by_itself() -> None:
    one, two = part(task({"min_words": 3})), part(mood_task())
    assert request_hash([one, two]) == request_hash([two, one])
    assert request_hash([one]) == one.hash
    assert len({one.hash, two.hash, request_hash([one, two])}) == 3


def test_requests_of_a_group_begin_alike_and_end_with_the_tasks_own_words() -> None:
    one, two = part(task({"min_words": 3})), part(mood_task())
    layout = Layout.of([one, two], shared=True)
    first, second = request_of([one], layout), request_of([two], layout)
    assert first.system == second.system
    assert json.dumps(first.schema) == json.dumps(second.schema)
    assert conversation_text(first.turns) == conversation_text(second.turns)
    assert first.prefix_shared
    assert second.prefix_shared
    assert set(first.schema["properties"]) == {"csat", "mood"}
    assert first.schema["required"] == [], "each call answers its own fields only"
    assert "Answer exactly these fields: `csat`." in task_text(first)
    assert "mood" not in task_text(first)


def test_a_fused_request_asks_everything_of_everyone_with_each_tasks_own_rules() -> None:
    one, two = part(task({"min_words": 3})), part(mood_task(evidence_role=None))
    request = request_of([one, two], Layout.of([one, two], shared=False))
    assert request.schema == answer_schema((CSAT, MOOD))
    text = task_text(request)
    assert "## Task csat" in text
    assert "## Task mood" in text
    assert text.count("Quote only what the customer says.") == 1
    assert "Answer exactly these fields: `csat`, `mood`." in text
    assert request.max_output_tokens == 2 * 1024
    assert not request.prefix_shared


def test_a_repair_is_told_what_the_validator_said_and_nothing_else() -> None:
    asked = part(mood_task())
    again = request_of([asked.repaired("mood.value is not one of the options")], Layout.of([asked], shared=False))
    before = request_of([asked], Layout.of([asked], shared=False))
    said = task_text(again).replace(
        "\n\nYour last answer was refused: mood.value is not one of the options. Answer again, following the schema "
        "exactly.",
        "",
    )
    assert said == task_text(before)
    assert (again.system, again.turns, again.schema) == (before.system, before.turns, before.schema)


def test_the_plan_is_told_whose_a_task_is_and_whether_few_may_see_it() -> None:
    secret = CSAT.model_copy(update={"key": "debts", "sensitive": True})
    several = part(task({"min_words": 3, "fuse": True}, (MOOD, secret), "money"))
    assert (several.ask.sensitive, several.ask.fuse, several.ask.fields) == (True, True, 2)
    assert several.ask.owner is several.question.task.task.owner
    assert not part(mood_task()).ask.sensitive
    assert part(mood_task(prompt="Word " * 400)).ask.own_tokens > part(mood_task()).ask.own_tokens + 400
