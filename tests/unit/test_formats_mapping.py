"""A sender's own JSON through a mapping: what is found, what is missing, and what a mapping may not do."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.conversation import Channel, Role
from domain.errors import InvalidInput
from domain.intake import MAX_MESSAGE_CHARACTERS
from domain.mapping import Format, SourceMapping
from engines.formats import check_mapping
from engines.formats.expressions import BadExpression, Evaluator
from engines.formats.values import payload_of
from tests.support.formats import arrivals, codes, outcomes, read_json

MAPPING: dict[str, Any] = {
    "external_id": "case.number",
    "channel": {"value": "case.origin", "table": {"Web form": "ticket", "Live": "chat"}},
    "started_at": "case.opened",
    "tags": "case.labels",
    "metadata": {"plan": "case.plan", "score": "to_number(case.score)"},
    "participants": [
        {"each": "people", "id": "id", "role": {"value": "kind", "table": {"C": "customer"}}, "name": "name"}
    ],
    "messages": [
        {
            "each": "comments",
            "id": "id",
            "author": "author_id",
            "role": {"value": "lookup(root().people, 'id', author_id).kind", "table": {"C": "customer", "S": "agent"}},
            "at": "at",
            "text": "body",
            "attachments": {"each": "files", "name": "name", "size": "bytes"},
        }
    ],
    "closed": "case.state == 'done'",
}


def payload(**changes: Any) -> dict[str, Any]:
    base = {
        "case": {"number": 4711, "origin": "web form", "opened": 1_762_000_000, "labels": ["vip", 7], "plan": "gold",
                 "score": "3.5", "state": "done"},
        "people": [{"id": 1, "kind": "C", "name": "Ann One"}, {"id": 2, "kind": "S"}],
        "comments": [
            {"id": 10, "author_id": 1, "at": 1_762_000_000_000, "body": "It broke.",
             "files": [{"name": "a.png", "bytes": "12"}]},
            {"id": 11, "author_id": 2, "at": "Sat, 1 Nov 2025 13:26:40 +0100", "body": "Sorry."},
        ],
    }  # fmt: skip
    return base | changes


def test_a_payload_becomes_a_conversation() -> None:
    (arrival,) = read_json(payload(), MAPPING)
    conversation = arrival.conversation
    assert (conversation.external_id, conversation.channel) == ("4711", Channel.TICKET)
    assert conversation.started_at == "2025-11-01T12:26:40.000Z"
    assert conversation.metadata == {"plan": "gold", "score": 3.5}
    assert conversation.tags == ("vip", "7")
    assert conversation.closed is True
    assert [(p.id, p.role, p.name) for p in conversation.participants] == [
        ("1", Role.CUSTOMER, "Ann One"),
        ("2", Role.AGENT, None),
    ]
    assert conversation.messages is not None
    first, second = conversation.messages
    assert (first.id, first.author, first.at, first.text) == ("10", "1", "2025-11-01T12:26:40.000Z", "It broke.")
    assert second.at == "2025-11-01T13:26:40+01:00"
    assert [(a.name, a.size) for a in first.attachments] == [("a.png", 12)]
    assert not arrival.notes


@given(
    st.dictionaries(
        st.text(max_size=20).filter(lambda name: name not in ("case", "people", "comments")),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
            max_leaves=10,
        ),
        max_size=5,
    )
)
def test_new_fields_are_harmless(more: dict[str, Any]) -> None:
    assert read_json(payload(**more), MAPPING) == read_json(payload(), MAPPING)


def without(path: str) -> dict[str, Any]:
    changed = payload()
    *way, last = path.split(".")
    place: Any = changed
    for step in way:
        place = place[int(step)] if step.isdigit() else place[step]
    del place[last]
    return changed


@pytest.mark.parametrize(
    ("missing", "field", "reason"),
    [
        ("case", "external_id", "`case.number` found nothing"),
        ("case.number", "external_id", "`case.number` found nothing"),
        ("case.origin", "channel", "not in the table"),
        ("comments", "messages", "`comments` found nothing"),
        ("comments.1.author_id", "messages[].author", "`author_id` found nothing in item 2 of `comments`"),
        ("comments.0.body", "messages[].text", "`body` found nothing in item 1 of `comments`"),
    ],
)
def test_a_missing_field_is_named_in_the_mapping_and_in_the_payload(missing: str, field: str, reason: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read_json(without(missing), MAPPING)
    (problem,) = refused.value.problems
    assert problem.field == field
    assert reason in problem.reason


@pytest.mark.parametrize("missing", ["case.opened", "case.labels", "case.plan", "case.score", "case.state", "people",
                                     "comments.0.id", "comments.0.at", "comments.0.files"])  # fmt: skip
def test_what_is_not_needed_may_be_missing(missing: str) -> None:
    (arrival,) = read_json(without(missing), MAPPING)
    assert arrival.conversation.messages is not None
    assert len(arrival.conversation.messages) == 2


def test_errors_hold_nothing_of_the_payload() -> None:
    secret = "4111-1111-1111-1111"
    for changes in (
        {"case": {"number": {"a": secret}, "origin": "Live"}},
        {"case": {"number": 1, "origin": secret}},
        {"case": {"number": 1, "origin": "Live", "opened": secret}},
        {"case": {"number": 1, "origin": "Live", "labels": [{"x": secret}]}},
        {"comments": [{"author_id": [secret], "body": secret}]},
        {"comments": [{"author_id": 1, "at": secret, "body": "x"}]},
    ):
        with pytest.raises(InvalidInput) as refused:
            read_json(payload(**changes), MAPPING)
        assert secret not in str(refused.value) + str(refused.value.problems)


def test_an_unknown_role_is_unknown_and_said() -> None:
    people = [{"id": 1, "kind": "C"}, {"id": 2, "kind": "Z"}]
    (arrival,) = read_json(payload(people=people), MAPPING)
    assert [p.role for p in arrival.conversation.participants] == [Role.CUSTOMER, Role.UNKNOWN]
    assert "roles_unknown" in codes(arrival)


def test_ids_that_are_mail_addresses_are_replaced() -> None:
    comments = [{"author_id": "ann@example.com", "body": "x"}, {"author_id": "ANN@example.com", "body": "y"}]
    (arrival,) = read_json(payload(comments=comments, people=[]), MAPPING)
    (ann,) = arrival.conversation.participants
    assert "@" not in ann.id
    assert ann.address == "ann@example.com"


def test_several_conversations_in_one_payload_and_those_passed_over() -> None:
    mapping = {
        "conversations": "cases[]",
        "only_if": "kind == 'support'",
        "external_id": "id",
        "channel": "chat",
        "messages": [{"each": "said", "author": "'c'", "role": "customer", "text": "@"}],
        "interaction_id": "root().contact",
    }
    cases = [{"id": n, "kind": "support" if n % 2 else "spam", "said": [f"text {n}"]} for n in range(5)]
    found = read_json({"cases": cases, "contact": "k-1"}, mapping)
    assert [arrival.conversation.external_id for arrival in found] == ["1", "3"]
    assert {arrival.conversation.interaction_id for arrival in found} == {"k-1"}
    assert read_json({"cases": [], "contact": "k-1"}, mapping) == []


def test_parts_with_the_same_key_are_one_conversation() -> None:
    mapping = {
        "conversations": "rows",
        "group_by": "thread",
        "external_id": "key",
        "channel": "chat",
        "adds": True,
        "messages": [{"each": "items", "author": "who", "text": "said"}],
    }
    rows = [{"thread": t, "who": w, "said": s} for t, w, s in [(1, "a", "x"), (2, "b", "y"), (1, "b", "z")]]
    first, second = read_json({"rows": rows}, mapping)
    assert first.adds
    assert [m.text for m in first.conversation.messages or ()] == ["x", "z"]
    assert [m.text for m in second.conversation.messages or ()] == ["y"]


def test_what_is_too_long_is_cut_and_said() -> None:
    mapping = {
        "external_id": "id", "channel": "chat", "queue": "q", "metadata": {"m": "m", "bad": "o"}, "tags": "tags",
        "messages": [{"each": "@", "author": "'c'", "text": "text", "subject": "m"}],
    }  # fmt: skip
    given_ = {"id": "i" * 1000, "q": "q" * 500, "m": "m" * 5000, "o": {"x": 1}, "tags": list(range(150)),
              "text": "t" * (MAX_MESSAGE_CHARACTERS + 5)}  # fmt: skip
    (arrival,) = read_json(given_, mapping)
    assert arrival.conversation.external_id.startswith("sha256:")
    assert set(arrival.conversation.metadata) == {"m"}
    assert len(arrival.conversation.tags) == 100
    assert codes(arrival) >= {"message_cut", "metadata_left_out", "tags_left_out"}


@pytest.mark.parametrize(
    ("value", "formats", "stamp"),
    [
        ("2026-11-02T10:00:00+01:00", [], "2026-11-02T10:00:00+01:00"),
        ("2026/3/1", [], "2026-03-01"),
        ("2026-11-02 10:00:00 UTC", [], "2026-11-02 10:00:00Z"),
        (1_762_000_000, [], "2025-11-01T12:26:40.000Z"),
        (1_762_000_000_123, [], "2025-11-01T12:26:40.123Z"),
        (1_762_000_000_123_456, [], "2025-11-01T12:26:40.123Z"),
        ("1762000000.000216", [], "2025-11-01T12:26:40.000Z"),
        ("Sat, 1 Nov 2025 12:26:40 GMT", [], "2025-11-01T12:26:40+00:00"),
        ("02.11.2026 10:00", ["%d.%m.%Y %H:%M"], "2026-11-02T10:00:00"),
        ("11/2/2026", ["%d.%m.%Y", "%m/%d/%Y"], "2026-11-02T00:00:00"),
        ("", [], None),
        (None, [], None),
    ],
)
def test_stamps_of_every_kind(value: object, formats: list[str], stamp: str | None) -> None:
    mapping = {"external_id": "'1'", "channel": "chat", "started_at": "at", "time_formats": formats,
               "messages": [{"each": "@", "author": "'c'", "text": "'x'"}]}  # fmt: skip
    (arrival,) = read_json({"at": value}, mapping)
    assert arrival.conversation.started_at == stamp


@pytest.mark.parametrize("value", ["02.11.2026", "tomorrow", {}, True, 1e30, "9" * 60])
def test_a_stamp_that_cannot_be_read_is_refused(value: object) -> None:
    mapping = {"external_id": "'1'", "channel": "chat", "started_at": "at",
               "messages": [{"each": "@", "author": "'c'", "text": "'x'"}]}  # fmt: skip
    with pytest.raises(InvalidInput, match="started_at"):
        read_json({"at": value}, mapping)


def test_a_payload_is_read_more_generously_than_a_canonical_body() -> None:
    body = b'{"id": 123456789012345678901234567890, "junk": NaN, "big": 1e999, "half": "\\ud83d", "id2": 1, "id2": 2}'
    assert payload_of(body)["id"] == "123456789012345678901234567890"
    mapping = SourceMapping.model_validate(
        {"external_id": "id", "channel": "chat", "messages": [{"each": "@", "author": "id2", "text": "half"}]}
    )
    (arrival,) = arrivals(Format.JSON, body, mapping)
    assert arrival.conversation.messages is not None
    assert arrival.conversation.messages[0].text == "\ufffd"


def test_lists_and_lines_are_cut_and_one_bad_item_spoils_itself_only() -> None:
    mapping = SourceMapping.model_validate(MAPPING)
    one = json.dumps(payload())
    for body in (f"[{one}, {{}}, {one}]", f"{one}\n{{}}\n\n{one}\n", f'{one}\n{{"case": \n{one}'):
        found = outcomes(Format.JSON, body.encode(), mapping)
        assert [outcome.error is None for outcome in found] == [True, False, True]
        assert [outcome.item.position for outcome in found] == [1, 2, 3]
    pretty = json.dumps(payload(), indent=2)
    assert len(arrivals(Format.JSON, f"{pretty}\n{pretty}".encode(), mapping)) == 2


# -- what a mapping may not do ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("a[", "character 3"),
        ("a.b.", "is not a JMESPath expression"),
        ("system('rm')", "there is not"),
        ("split(a)", "takes 2"),
        ("a[::0]", "step 0"),
        ("(" * 1999, "nested too deeply"),
    ],
)
def test_a_bad_expression_is_refused_before_anything_comes_in(expression: str, reason: str) -> None:
    mapping = SourceMapping.model_validate(MAPPING | {"external_id": expression})
    with pytest.raises(InvalidInput) as refused:
        check_mapping(mapping, Format.JSON)
    assert refused.value.problems[0].field == "external_id"
    assert reason in refused.value.problems[0].reason


def test_every_bad_expression_is_named_at_once() -> None:
    changed = MAPPING | {"tags": "(", "metadata": {"plan": "["}}
    mapping = SourceMapping.model_validate(changed | {"messages": [MAPPING["messages"][0] | {"text": "}"}]})
    with pytest.raises(InvalidInput) as refused:
        check_mapping(mapping, Format.JSON)
    assert [problem.field for problem in refused.value.problems] == ["tags", "metadata.plan", "messages[].text"]


@pytest.mark.parametrize("form", [Format.JSON, Format.TABLE])
def test_what_cannot_be_done_without_is_asked_for(form: Format) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_mapping(SourceMapping(), form)
    assert {problem.field for problem in refused.value.problems} == {"channel", "external_id", "messages"}


def test_emails_and_recordings_need_no_mapping() -> None:
    for form in (Format.EMAIL, Format.RECORDING, Format.CANONICAL):
        check_mapping(SourceMapping(), form)


@pytest.mark.parametrize(
    "expression",
    [
        "|".join(["[@,@][]"] * 100),
        "|".join(["[@,@]"] * 200),
        "to_string(" + "|".join(["[@,@]"] * 200) + ")",
        "|".join(["{a: @, b: @}"] * 100) + " == " + "|".join(["{a: @, b: @}"] * 50),
        "length(a[*].[root().a[*].[root().a[*].[root().a[*]]]][][][])",
        "join('', a[*].to_string(root().a))",
        "a[?length(root().a[?to_string(root()) == 'x']) > `0`]",
    ],
)
def test_an_expression_cannot_outgrow_its_payload(expression: str) -> None:
    """Each of these would take hours or all memory."""
    value = {"a": [{"n": number} for number in range(2_000)]}
    with pytest.raises(BadExpression, match="too long"):
        Evaluator(value, size=20_000).find(expression, value)


def test_looking_people_up_is_no_search_among_all_for_each() -> None:
    people = [{"id": number, "name": f"P{number}", "kind": "C"} for number in range(5_000)]
    comments = [{"id": number, "author_id": number % 190, "body": "x"} for number in range(5_000)]
    (arrival,) = read_json(payload(people=people, comments=comments), MAPPING | {"participants": []})
    assert len(arrival.conversation.participants) == 190


@settings(max_examples=200)
@given(st.text(st.sampled_from("ab.[]*?|&!'`\"(){},:@ 01-=<>rot"), max_size=30))
def test_any_text_is_an_expression_or_is_refused(expression: str) -> None:
    value = {"a": [1, {"b": "x"}], "b": {"a": None}, "t": "text"}
    with contextlib.suppress(BadExpression):
        Evaluator(value, size=100).find(expression, value)
