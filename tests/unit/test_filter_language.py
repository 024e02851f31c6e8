"""The filter language by example: what is read, what is refused and how the refusal helps."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from domain.conversation import Channel, Conversation, Direction, Participant, Role, Status
from domain.errors import InvalidFilter, InvalidInput
from domain.fields import FieldScalar, FieldType
from domain.filters import FilterFacts, FilterSchema, from_json, in_sample, matches, parse, to_json, to_text
from domain.filters.facts import sample_bucket, token
from domain.ids import derived_id, new_id, new_tenant_id
from domain.names import BUILT_INS, KEYWORDS, RESERVED_KEYS
from domain.values import FieldValue, Layer, SubjectKind, ValueKind
from tests.support.filter_cases import FIELDS, NOW, SCHEMA, ZONE, field


def conversation(**changes: object) -> Conversation:
    start = datetime(2026, 11, 10, 8, 0, tzinfo=UTC)
    plain = Conversation(
        tenant_id=new_tenant_id(),
        id=derived_id("filter", "conversation"),
        source="phone",
        external_id="A-17",
        channel=Channel.CALL,
        revision=2,
        status=Status.PROCESSING,
        started_at=start,
        ended_at=start + timedelta(seconds=94.25),
        received_at=start + timedelta(minutes=5),
        queue="Second Line",
        tags=("VIP", "vip", " "),
        metadata={"plan": "gold", "seats": 12, "trial": False, "zip": "00123", "big": 10**400, "blank": "  "},
        participants=(
            Participant(id="ag-1", role=Role.AGENT, name="Ada"),
            Participant(id="cu-1", role=Role.CUSTOMER, name="Bob"),
        ),
        created_at=start,
        updated_at=start,
    )
    return plain.model_copy(update=changes)


def value(key: str, known: FieldScalar | None, layer: Layer = Layer.AI, **changes: object) -> FieldValue:
    plain = FieldValue(
        id=new_id(),
        tenant_id=new_tenant_id(),
        conversation_id=new_id(),
        revision=1,
        subject_id="x",
        field_id=new_id(),
        field_key=key,
        layer=layer,
        kind=ValueKind.UNKNOWN if known is None else ValueKind.STATED,
        value=known,
        created_at=NOW,
    )
    return plain.model_copy(update=changes)


FACTS = FilterFacts.of(
    conversation(),
    [
        value("csat", 2),
        value("summary", None),
        value("topics", ("billing", "delivery")),
        value("renewal", "2026-12-01"),
    ],
    turns=31,
)


def holds(text: str, facts: FilterFacts = FACTS, now: datetime = NOW, zone: str = ZONE) -> bool:
    return matches(parse(text, SCHEMA, now=now, zone=zone), facts)


@pytest.mark.parametrize(
    "text",
    [
        "channel = call and duration > 15s and csat < 3 and meta.plan = 'gold'",
        "channel = call AND NOT csat >= 3",
        "duration = 94.25s and duration between 1m and 1m34.25s",
        "tag = vip and not tag = other",
        "topics = billing and topics in (delivery, refund_request) and topics != refund_request",
        "not topics != billing",
        "queue = 'second  LINE'",
        'meta.plan in ("gold", silver) and meta.plan != silver',
        "meta.seats = 12 and meta.seats > 11.5 and meta.seats != '12'",
        "meta.trial = false and meta.trial exists",
        "meta.zip = '00123' and not meta.zip = 123",
        "meta.big not exists and not meta.blank exists",
        "agent = ag-1 and not agent = cu-1",
        "summary is unknown and not summary exists and csat is not unknown",
        "sentiment not exists and not sentiment is unknown",
        "not sentiment = positive and not sentiment != positive and not sentiment not in (positive)",
        "renewal = 2026-12-01 and renewal > today and renewal between today and today + 30d",
        "started = 2026-11-10 and started < now - 2d and started >= 2026-11-10T09:00",
        "started = 2026-11-10T08:00Z and started = 2026-11-10T09:00+01:00 and started = '2026-11-10T09:00'",
        "started between 2026-11-10 and 2026-11-10 and not started > 2026-11-10 and started <= 2026-11-10",
        "turns = 31 and revision = 2 and searchable = false",
        "id = '" + derived_id("filter", "conversation") + "'",
        "sample 100%",
        "csat = 2 or csat = 3 and csat = 9",
        "(csat = 2 or csat = 3) and (csat <> 9)",
    ],
)
def test_true_of_the_example(text: str) -> None:
    assert holds(text)
    again = parse(to_text(parse(text, SCHEMA, now=NOW, zone=ZONE)), SCHEMA, now=NOW, zone=ZONE)
    assert matches(again, FACTS)


REFUSED = [
    ("", 1, "empty"),
    ("cast = 3", 1, "did you mean `csat`"),
    ("csat = 3 and Channel = call", 14, "did you mean `channel`"),
    ("plan = gold", 1, "meta.plan"),
    ("diagnosis = x", 1, "unknown name"),
    ("channel = cal", 11, "did you mean `call`"),
    ("sentiment = great", 13, "positive, negative"),
    ("csat >", 7, "a value is expected"),
    ("csat 3", 6, "needs a comparison"),
    ("csat = three", 8, "is a number"),
    ("duration > 15", 12, "15s"),
    ("duration > 15 s", 12, "15s"),
    ("started > yesterday", 11, "is not a date"),
    ("started > 2026-02-30", 11, "calendar"),
    ("renewal > now", 11, "is a date"),
    ("renewal < today - 5h", 11, "whole days"),
    ("tag > vip", 5, "no order"),
    ("meta.plan > 'a'", 13, "takes a number"),
    ("meta.since > 2026-11-01", 14, "metadata holds"),
    ("meta.zip = 00123", 12, "'00123'"),
    ("meta.1st = 2", 1, "metadata key"),
    ("queue = ''", 9, "empty"),
    ("queue = 'open", 9, "closing"),
    (r"queue = 'a\q'", 11, "escape"),
    ("queue = 3f9a-22", 9, "quotes"),
    ("(csat = 3", 10, "`)` is missing"),
    ("csat = 3)", 9, "expected `and`"),
    ("csat in ()", 10, "a value is expected"),
    ("csat in 3", 9, "`(` is missing"),
    ("csat between 1", 15, "`and` is missing"),
    ("csat is 3", 9, "write `="),
    ("status is unknown", 1, "only a field"),
    ("csat not 3", 10, "`in` or `exists`"),
    ("escalated = maybe", 13, "true or false"),
    ("sample 0%", 8, "above 0"),
    ("sample 101%", 8, "at most 100"),
    ("sample 10", 10, "`%` is missing"),
    ("csat = 3 && tag = vip", 10, "write `and`"),
    ("csat = 1e999", 8, "too large"),
    ("and = 3", 1, "a name is expected"),
    ("csat = 3 and", 13, "the filter ends where a name"),
    ("(" * 21 + "csat = 3" + ")" * 21, 21, "nested"),
    ("not " * 21 + "csat = 3", 81, "nested"),
    ("queue = '" + "x" * 1001 + "'", 9, "longer than"),
    ("csat in (" + ", ".join(["1"] * 1001) + ")", None, "values"),
    ("csat = 3 or " * 400 + "csat = 3", 4001, "4,000"),
]


@pytest.mark.parametrize(("text", "column", "hint"), REFUSED, ids=[text[:24] or "empty" for text, _, _ in REFUSED])
def test_refused_with_column_and_hint(text: str, column: int | None, hint: str) -> None:
    with pytest.raises(InvalidFilter) as caught:
        parse(text, SCHEMA, now=NOW, zone=ZONE)
    assert hint in caught.value.message
    if column is not None:
        assert caught.value.column == column
        assert f"column {column}:" in caught.value.message
    assert caught.value.problems[0].field == "filter"


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("csat = 3", '"op"'),
        ({"op": "like", "name": "csat", "value": 3}, '"op"'),
        ({"op": "=", "name": "csat"}, "has the keys"),
        ({"op": "=", "name": "csat", "value": 3, "sql": "x"}, "has the keys"),
        ({"op": "=", "name": "cast", "value": 3}, "did you mean `csat`"),
        ({"op": "=", "name": "csat", "value": None}, "a value is"),
        ({"op": "=", "name": "csat", "value": [3]}, "a value is"),
        ({"op": "=", "name": "csat", "value": float("nan")}, "too large"),
        ({"op": "=", "name": 3, "value": 3}, "name is a text"),
        ({"op": "in", "name": "csat", "values": []}, "at least one"),
        ({"op": "and", "parts": "x"}, "list"),
        ({"op": "and", "parts": [{"op": "exists", "name": "nope"}]}, "parts[0]"),
        ({"op": "sample", "percent": True}, "percent"),
        ({"op": ">", "name": "meta.plan", "value": "a"}, "takes a number"),
        ({"op": "in", "name": "meta.plan", "values": ["a"] * 1001}, "1,000"),
        ({"op": "or", "parts": [{"op": "in", "name": "meta.plan", "values": ["a"] * 600}] * 2}, "1,000"),
    ],
)
def test_json_refused(value: object, hint: str) -> None:
    with pytest.raises(InvalidFilter) as caught:
        from_json(value, SCHEMA, now=NOW, zone=ZONE)
    assert hint in caught.value.message


def test_json_nested_without_end_is_refused() -> None:
    value: object = {"op": "exists", "name": "csat"}
    for _ in range(5000):
        value = {"op": "not", "part": value}
    with pytest.raises(InvalidFilter, match="nested"):
        from_json(value, SCHEMA, now=NOW, zone=ZONE)


def test_json_form_is_as_documented() -> None:
    bound = parse("channel = call and started >= now - 7d and duration > 15s", SCHEMA, now=NOW, zone=ZONE)
    assert to_json(bound) == {
        "op": "and",
        "parts": [
            {"op": "=", "name": "channel", "value": "call"},
            {"op": ">=", "name": "started", "value": "now - 7d"},
            {"op": ">", "name": "duration", "value": "15s"},
        ],
    }


def test_a_caller_who_may_see_sensitive_fields_may_filter_them() -> None:
    schema = FilterSchema.of(FIELDS, may_see_sensitive=True)
    assert to_text(parse("diagnosis = flu", schema, now=NOW, zone=ZONE)) == "diagnosis = flu"


def test_every_built_in_and_keyword_is_reserved_for_fields() -> None:
    assert {*BUILT_INS, *KEYWORDS, "meta"} == RESERVED_KEYS
    with pytest.raises(ValueError, match="built-in"):
        field("between", FieldType.TEXT)


def test_every_built_in_is_projected() -> None:
    full = conversation(
        interaction_id="i-1",
        direction=Direction.INBOUND,
        team="t",
        campaign="c",
        language="en",
        dispositions=("solved",),
    )
    facts = FilterFacts.of(full, turns=3)
    assert {*facts.texts, *facts.numbers, *facts.flags} >= set(BUILT_INS)


def test_a_day_is_as_long_as_the_zone_makes_it() -> None:
    # Summer time ends in Berlin on 2026-10-25: that day has 25 hours, from 22:00 UTC to 23:00 UTC the next day.
    last_hour = FilterFacts.of(conversation(started_at=datetime(2026, 10, 25, 22, 59, tzinfo=UTC)))
    assert holds("started = 2026-10-25", last_hour)
    assert holds("started > 2026-10-24 and started < 2026-10-26", last_hour)
    after = FilterFacts.of(conversation(started_at=datetime(2026, 10, 25, 23, 0, tzinfo=UTC)))
    assert not holds("started = 2026-10-25", after)
    assert holds("started = 2026-10-25", after, zone="UTC")


def test_relative_times_are_bound_anew_each_time() -> None:
    text = to_text(parse("started >= now - 1d", SCHEMA, now=NOW, zone=ZONE))
    assert text == "started >= now - 1d"
    assert not holds(text)
    assert holds(text, now=NOW - timedelta(days=2))


def test_a_humans_value_wins_and_participants_values_do_not_count() -> None:
    facts = FilterFacts.of(
        conversation(),
        [
            value("csat", 5, Layer.HUMAN),
            value("csat", 1),
            value("sentiment", "mixed", subject=SubjectKind.PARTICIPANT),
            value("summary", "x", Layer.AI),
            value("summary", None, Layer.HUMAN),
        ],
    )
    assert facts.numbers["csat"] == 5
    assert "sentiment" not in facts.texts
    assert facts.unknown == {"summary"}


def test_duration_falls_back_to_the_span_of_the_conversation() -> None:
    assert FACTS.numbers["duration"] == 94.25
    assert FilterFacts.of(conversation(), duration_s=12).numbers["duration"] == 12
    assert "duration" not in FilterFacts.of(conversation(ended_at=None)).numbers


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("VIP", " vip ", True),
        ("Straße", "STRASSE", True),
        ("ﬁne", "fine", True),
        ("İ", "i̇", True),
        ("grün", "grun", False),
        ("a  b", "a b", True),
        ("x" * 5000, "X" * 5000, True),
        ("x" * 5000, "x" * 4999 + "y", False),
        ("\ud800", "?", True),
    ],
)
def test_text_equality(one: str, other: str, equal: bool) -> None:
    assert (token(one) == token(other)) is equal
    assert len(token(one).encode()) <= 150


def test_sample_is_fixed_and_even() -> None:
    ids = [derived_id("sample", str(n)) for n in range(4000)]
    assert all(0 <= sample_bucket(i) < 1_000_000 for i in ids)
    share = sum(in_sample(i, 0.25) for i in ids) / len(ids)
    assert 0.22 < share < 0.28
    quarter = parse("sample 25%", SCHEMA, now=NOW, zone=ZONE)
    for i in ids[:100]:
        assert matches(quarter, FilterFacts(id=i, numbers={"sample": sample_bucket(i)})) is in_sample(i, 0.25)
    assert sample_bucket("0e0c2b5e-3a51-4a3b-9d31-1e9d5d1f7a11") == 673_115  # frozen: stored samples rely on it


def test_an_unknown_zone_is_refused() -> None:
    for zone in ("Mars/Olympus", "../etc/passwd", "", "Europe"):
        with pytest.raises(InvalidInput, match="time zone"):
            parse("csat = 3", SCHEMA, now=NOW, zone=zone)


# -- the guide ----------------------------------------------------------------------------------------------

GUIDE = (Path(__file__).parents[2] / "docs" / "filters.md").read_text(encoding="utf-8")


def test_the_guides_examples_work() -> None:
    schema = FilterSchema.of([*FIELDS, field("churn_risk", FieldType.CHOICE, options=("low",))])
    examples, json_form = (block for block in GUIDE.split("\n\n") if block.startswith(("    channel = ", '    {"op"')))
    for line in examples.splitlines():
        parse(line.strip(), schema, now=NOW, zone=ZONE)
    from_json(json.loads(json_form), schema, now=NOW, zone=ZONE)


def test_the_guide_names_every_name_and_word() -> None:
    quoted = set(re.findall(r"`([a-z_]+)`", GUIDE)) | set(re.findall(r"[a-z]+", GUIDE))
    assert set(BUILT_INS) | KEYWORDS <= quoted
