"""How calls are cut: all is asked once, nothing crosses a border, and it never costs more than one call a task."""

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.fields import Owner
from services.call_plan import CACHE_WRITE, CACHED_READ, Ask, CallGroup, CallShape, plain_cost, plan_calls, shared_cost

SYSTEM = 300

asks_ = st.lists(
    st.builds(
        Ask,
        key=st.integers(0, 10_000).map("task-{:05}".format),
        owner=st.sampled_from(Owner),
        sensitive=st.booleans(),
        fuse=st.booleans(),
        own_tokens=st.integers(1, 3_000),
        schema_tokens=st.integers(1, 6_000),
        output_tokens=st.integers(16, 9_000),
        fields=st.integers(1, 30),
    ),
    max_size=25,
    unique_by=lambda ask: ask.key,
)
shapes = st.builds(
    CallShape,
    fuse_up_to_tokens=st.sampled_from([0, 500, 3_000, 10_000]),
    output_tokens=st.sampled_from([512, 4_096, 8_192]),
    schema_fields=st.sampled_from([1, 6, 24]),
    cache_from_tokens=st.sampled_from([0, 1_024, 4_096]),
    context_tokens=st.sampled_from([4_000, 32_000, 1_000_000]),
    prefix_cache=st.sampled_from([True, False, None]),
)
lengths = st.integers(1, 20_000)


def ask(key: str, **changes: object) -> Ask:
    usual = Ask(key, Owner.OPERATOR, sensitive=False, fuse=True, own_tokens=200, schema_tokens=150, output_tokens=512)
    return replace(usual, **changes)  # type: ignore[arg-type]


def cut(asks: list[Ask], turns: int, shape: CallShape) -> tuple[CallGroup, ...]:
    return plan_calls(asks, system_tokens=SYSTEM, turns_tokens=turns, shape=shape)


def cost(groups: tuple[CallGroup, ...], asks: list[Ask], turns: int) -> float:
    """Input of the plan in plain tokens."""
    of_key = {one.key: one for one in asks}
    total = 0.0
    for group in groups:
        calls = [[of_key[key] for key in call] for call in group.calls]
        total += (shared_cost if group.shared else plain_cost)(calls, SYSTEM + turns)
    return total


@given(asks_, lengths, shapes)
def test_every_task_is_asked_exactly_once(asks: list[Ask], turns: int, shape: CallShape) -> None:
    keys = [key for group in cut(asks, turns, shape) for key in group.keys]
    assert sorted(keys) == sorted(one.key for one in asks)


@given(asks_, lengths, shapes)
def test_what_is_asked_together_may_be(asks: list[Ask], turns: int, shape: CallShape) -> None:
    of_key = {one.key: one for one in asks}
    for group in cut(asks, turns, shape):
        assert len({of_key[key].sensitive for key in group.keys}) == 1, "a schema holds one sensitivity class"
        for call in group.calls:
            together = [of_key[key] for key in call]
            if len(together) == 1:
                continue
            assert turns <= shape.fuse_up_to_tokens
            assert all(one.fuse for one in together)
            assert len({one.owner for one in together}) == 1
            assert sum(one.output_tokens for one in together) <= shape.output_tokens
            assert sum(one.fields for one in together) <= shape.schema_fields


@given(asks_, lengths, shapes)
def test_calls_share_a_prefix_only_where_a_cache_holds_it(asks: list[Ask], turns: int, shape: CallShape) -> None:
    of_key = {one.key: one for one in asks}
    for group in cut(asks, turns, shape):
        assert group.shared or len(group.calls) == 1
        if group.shared:
            cached = SYSTEM + turns + sum(of_key[key].schema_tokens for key in group.keys)
            assert shape.prefix_cache
            assert len(group.calls) > 1
            assert cached >= shape.cache_from_tokens
            for call in group.calls:
                own = sum(of_key[key].own_tokens + of_key[key].output_tokens for key in call)
                assert cached + own <= shape.context_tokens
            widest = max(sum(of_key[key].fields for key in call) for call in group.calls)
            assert sum(of_key[key].fields for key in group.keys) <= max(shape.schema_fields, widest)


@given(asks_, lengths, shapes)
def test_it_never_costs_more_than_one_call_a_task(asks: list[Ask], turns: int, shape: CallShape) -> None:
    alone = plain_cost([[one] for one in asks], SYSTEM + turns)
    assert cost(cut(asks, turns, shape), asks, turns) <= alone * (1 + 1e-9)


@given(asks_, lengths, shapes, st.randoms(use_true_random=False))
def test_the_order_the_tasks_come_in_changes_nothing(
    asks: list[Ask], turns: int, shape: CallShape, order: random.Random
) -> None:
    shuffled = list(asks)
    order.shuffle(shuffled)
    assert cut(shuffled, turns, shape) == cut(asks, turns, shape)


@given(asks_, lengths, shapes, st.data())
def test_a_task_that_may_not_be_fused_is_asked_by_itself(
    asks: list[Ask], turns: int, shape: CallShape, data: st.DataObject
) -> None:
    if not asks:
        return
    loner = replace(data.draw(st.sampled_from(asks)), fuse=False)
    others = [one for one in asks if one.key != loner.key]
    calls = [call for group in cut([*others, loner], turns, shape) for call in group.calls]
    assert (loner.key,) in calls


def test_short_tasks_go_in_one_call_and_long_ones_on_one_prefix() -> None:
    eight = [ask(f"t{n}") for n in range(8)]
    shape = CallShape(prefix_cache=True)
    keys = tuple(one.key for one in eight)
    assert cut(eight, 1_500, shape) == (CallGroup((keys,)),)
    assert cut(eight, 6_000, shape) == (CallGroup(tuple((key,) for key in keys), shared=True),)


def test_without_a_cache_long_ones_go_apart_each_with_its_own_schema() -> None:
    eight = [ask(f"t{n}") for n in range(8)]
    assert cut(eight, 6_000, CallShape(prefix_cache=False)) == tuple(CallGroup(((f"t{n}",),)) for n in range(8))


def test_twenty_tasks_are_as_many_calls_as_their_answers_need() -> None:
    twenty = [ask(f"t{n:02}", output_tokens=640) for n in range(20)]
    (group,) = cut(twenty, 1_500, CallShape(prefix_cache=True))
    assert [len(call) for call in group.calls] == [12, 8]
    assert group.shared, "the second call reads what the first has written"


def test_a_schema_that_weighs_more_than_the_transcript_is_not_sent_to_everybody() -> None:
    heavy = [ask(f"t{n}", fuse=False, schema_tokens=5_000) for n in range(2)]
    assert not any(group.shared for group in cut(heavy, 1_000, CallShape(prefix_cache=True)))


@pytest.mark.parametrize(
    ("parameters", "external", "expected"),
    [
        ({}, True, CallShape(prefix_cache=True)),
        ({}, False, CallShape(prefix_cache=False)),
        ({"prefix_cache": True}, False, CallShape(prefix_cache=True)),
        (
            {"fuse_up_to_tokens": 0, "context_tokens": 8_192},
            True,
            CallShape(0, context_tokens=8_192, prefix_cache=True),
        ),
        ({"fuse_up_to_tokens": "many", "output_tokens": -1, "schema_fields": True}, True, CallShape(prefix_cache=True)),
    ],
)
def test_an_engines_own_limits_go_first(parameters: dict[str, object], external: bool, expected: CallShape) -> None:
    assert CallShape().of(parameters, external=external) == expected


def test_what_a_cache_takes_and_gives() -> None:
    calls = [[ask("a", own_tokens=10, schema_tokens=100)], [ask("b", own_tokens=20, schema_tokens=100)]]
    assert shared_cost(calls, 1_000) == 1_200 * CACHE_WRITE + 1_200 * CACHED_READ + 30
    assert plain_cost(calls, 1_000) == 2 * 1_100 + 30
