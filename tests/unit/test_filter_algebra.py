"""The filter language's laws, on generated expressions and facts."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.filters import conditions, from_json, matches, parse, to_json, to_text
from domain.filters.conditions import All, AnyOf, Condition
from domain.filters.facts import FilterFacts
from domain.filters.tree import MAX_LENGTH, Expression, Filter, Not, Sample, conjunction, disjunction, leaves
from tests.support.filter_cases import EXPRESSIONS, NOW, SCHEMA, ZONE, facts, naive


def bound(expression: Expression) -> Filter:
    return Filter(expression, NOW, ZONE)


@given(EXPRESSIONS)
def test_reading_the_printed_text_gives_the_same_tree(expression: Expression) -> None:
    text = to_text(bound(expression))
    if len(text) <= MAX_LENGTH:
        assert parse(text, SCHEMA, now=NOW, zone=ZONE).expression == expression


@given(EXPRESSIONS)
def test_json_there_and_back_gives_the_same_tree(expression: Expression) -> None:
    wire = json.dumps(to_json(bound(expression)))
    assert from_json(json.loads(wire), SCHEMA, now=NOW, zone=ZONE).expression == expression


@settings(max_examples=600)
@given(EXPRESSIONS, facts())
def test_evaluation_agrees_with_a_naive_reading(expression: Expression, of: FilterFacts) -> None:
    assert matches(bound(expression), of) == naive(expression, of)


@given(EXPRESSIONS, EXPRESSIONS, facts())
def test_de_morgan_and_double_negation(a: Expression, b: Expression, of: FilterFacts) -> None:
    def value(expression: Expression) -> bool:
        return matches(bound(expression), of)

    assert value(Not(conjunction([a, b]))) == value(disjunction([Not(a), Not(b)]))
    assert value(Not(disjunction([a, b]))) == value(conjunction([Not(a), Not(b)]))
    assert value(Not(Not(a))) == value(a)
    assert value(disjunction([a, Not(a)]))


@given(EXPRESSIONS)
def test_lowering_nests_no_deeper_than_the_filter_alternates(expression: Expression) -> None:
    def depth(condition: Condition) -> int:
        parts = condition.parts if isinstance(condition, All | AnyOf) else ()
        return 1 + max(map(depth, parts), default=0) if parts else 0

    def height(of: Expression) -> int:
        inner = getattr(of, "parts", None) or ([of.part] if isinstance(of, Not) else [])
        return 1 + max(map(height, inner), default=0) if inner else 0

    assert depth(conditions(bound(expression))) <= height(expression) + 2  # `!=` and metadata add a level each


@given(EXPRESSIONS, facts())
def test_the_names_read_are_all_that_matters(expression: Expression, of: FilterFacts) -> None:
    read = bound(expression).names()
    assert all(isinstance(leaf, Sample) or leaf.name.key in read for leaf in leaves(expression))
    blind = FilterFacts(
        id=of.id,
        texts={k: v for k, v in of.texts.items() if k in read},
        numbers={k: v for k, v in of.numbers.items() if k in read or k == "sample"},
        flags={k: v for k, v in of.flags.items() if k in read},
        unknown=of.unknown & read,
    )
    assert matches(bound(expression), of) == matches(bound(expression), blind)


@given(st.lists(st.uuids(), min_size=200, max_size=200, unique=True), st.integers(1, 99))
def test_a_larger_sample_holds_every_smaller_one(ids: list[object], percent: int) -> None:
    from domain.filters import in_sample

    small = {i for i in ids if in_sample(str(i), percent / 100)}
    large = {i for i in ids if in_sample(str(i), (percent + 1) / 100)}
    assert small <= large
