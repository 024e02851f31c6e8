"""Joining is an algebra: order, grouping and repetition do not show."""

from datetime import UTC, datetime, timedelta
from functools import reduce
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from domain.conversation import Channel, Direction, Participant, Role
from domain.intake import MAX_MESSAGES, MAX_PARTICIPANTS, ConversationIn, MessageIn
from domain.threads import (
    MAX_LINKS,
    as_of,
    bounded_participants,
    join_messages,
    join_participants,
    joined,
    kept_links,
    link_digest,
    moments,
    with_times,
)

BERLIN = moments("Europe/Berlin", "UTC")
START = datetime(2025, 3, 1, 9, 0, tzinfo=UTC)

stamps = st.builds(
    lambda minute, zone: (START + timedelta(minutes=minute)).isoformat().replace("+00:00", zone),
    st.integers(0, 5),
    st.sampled_from(["+00:00", "Z", "+02:00", ""]),
)
messages = st.builds(
    MessageIn,
    id=st.sampled_from(["m1", "m2", "m9", "m10", "m11", "M1"]),
    author=st.sampled_from(["a", "b"]),
    at=stamps,
    text=st.sampled_from(["hello", "hello ", "yes", ""]),
)
names = st.sampled_from([None, "Bo", "Bob", "Bob Smith"])
people = st.builds(Participant, id=st.sampled_from(["a", "b"]), role=st.sampled_from(Role), name=names)


@st.composite
def parts(draw: st.DrawFn) -> ConversationIn:
    return ConversationIn(
        external_id="t",
        channel=Channel.EMAIL,
        messages=tuple(draw(st.lists(messages, max_size=4))),
        participants=(
            Participant(id="a", role=draw(st.sampled_from(Role)), name=draw(names)),
            Participant(id="b", role=Role.UNKNOWN),
        ),
        started_at=draw(st.none() | stamps),
        ended_at=draw(st.none() | stamps),
    )


def said(of: ConversationIn) -> tuple[Any, ...]:
    moment = BERLIN
    return of.messages, of.participants, moment(of.started_at), moment(of.ended_at)


@given(parts(), parts())
def test_joining_is_commutative(one: ConversationIn, other: ConversationIn) -> None:
    assert said(joined(one, other, BERLIN)) == said(joined(other, one, BERLIN))


@given(parts(), parts(), parts())
def test_joining_is_associative(one: ConversationIn, two: ConversationIn, three: ConversationIn) -> None:
    left = joined(joined(one, two, BERLIN), three, BERLIN)
    right = joined(one, joined(two, three, BERLIN), BERLIN)
    assert said(left) == said(right)


@given(parts(), parts())
def test_joining_is_idempotent(one: ConversationIn, other: ConversationIn) -> None:
    once = joined(one, other, BERLIN)
    assert said(joined(once, other, BERLIN)) == said(once) == said(joined(once, once, BERLIN))


@given(st.lists(people, max_size=6))
def test_people_do_not_depend_on_the_order(several: list[Participant]) -> None:
    def of(ordered: list[Participant]) -> set[Participant]:
        return set(reduce(join_participants, ([p] for p in ordered), ()))  # type: ignore[arg-type]

    assert of(several) == of(several[::-1])
    assert len({p.id for p in of(several)}) == len(of(several))


@given(parts(), parts())
def test_nothing_is_lost_and_time_goes_forward(one: ConversationIn, other: ConversationIn) -> None:
    both = joined(one, other, BERLIN)
    found = both.messages or ()
    keys = {(m.id, m.author, m.text.strip()) for m in (*(one.messages or ()), *(other.messages or ()))}
    assert {(m.id, m.author, m.text.strip()) for m in found} == keys
    assert len(found) == len(keys)
    times = [BERLIN(m.at) for m in found]
    assert times == sorted(times, key=lambda at: at or START)


def message(id_: str | None, minute: int | None, text: str = "hi") -> MessageIn:
    at = None if minute is None else (START + timedelta(minutes=minute)).isoformat()
    return MessageIn(id=id_, author="a", at=at, text=text)


def test_equal_times_go_by_id_as_people_count() -> None:
    ordered = join_messages([message("m10", 1)], [message("m9", 1), message("m11", 1)], BERLIN)
    assert [m.id for m in ordered] == ["m9", "m10", "m11"]


def test_without_ids_a_message_counts_as_often_as_one_side_has_it() -> None:
    twice = [message(None, 1, "ok"), message(None, 1, "ok")]
    assert len(join_messages(twice, [message(None, 1, "ok")], BERLIN)) == 2
    assert len(join_messages([], twice, BERLIN)) == 2
    nothing = message(None, None, "ok")
    assert len(join_messages([nothing], [nothing], BERLIN)) == 2  # who knows


def test_where_a_time_is_missing_they_stay_as_they_came() -> None:
    ordered = join_messages([message("b", 5)], [message("a", None), message("c", 1)], BERLIN)
    assert [m.id for m in ordered] == ["b", "a", "c"]


def test_an_impossible_time_is_none() -> None:
    assert moments(None, "UTC")("0001-01-01T00:00:00Z") is None
    assert moments(None, "Europe/Berlin")("2025-01-01 12:00:00") == datetime(2025, 1, 1, 11, tzinfo=UTC)


@pytest.mark.parametrize(
    ("whole", "part", "closed"),
    [
        ((1, True), (2, None), None),  # a later message opens it
        ((1, True), (2, True), True),
        ((2, True), (1, None), True),  # an older one does not
        ((2, True), (1, False), True),
        ((2, None), (1, True), None),
        ((1, None), (1, True), True),
        ((1, True), (1, None), True),  # the same once more
    ],
)
def test_closed(whole: tuple[int, bool | None], part: tuple[int, bool | None], closed: bool | None) -> None:
    def one(minute: int, is_closed: bool | None) -> ConversationIn:
        return ConversationIn(
            external_id="t",
            channel=Channel.CHAT,
            participants=(Participant(id="a", role=Role.AGENT),),
            messages=(message(f"m{minute}", minute),),
            closed=is_closed,
        )

    assert joined(one(*whole), one(*part), BERLIN).closed is closed


def test_a_message_from_before_it_was_closed_does_not_open_it() -> None:
    closing = chat(closed=True, ended_at=(START + timedelta(minutes=9)).isoformat())
    assert as_of(closing, BERLIN) == START + timedelta(minutes=9)
    assert joined(closing, chat(message("m", 5)), BERLIN).closed is True
    assert joined(closing, chat(message("m", 10)), BERLIN).closed is None


def chat(*said_: MessageIn, **more: Any) -> ConversationIn:
    person = (Participant(id="a", role=Role.AGENT),)
    return ConversationIn(external_id="t", channel=Channel.CHAT, participants=person, messages=said_, **more)


def test_facts_of_the_later_part_go_first_but_for_the_direction() -> None:
    early = chat(message("1", 1), queue="old", metadata={"a": 1, "b": 1}, direction=Direction.INBOUND, tags=("x",))
    late = chat(message("2", 2), queue="new", metadata={"b": 2}, direction=Direction.OUTBOUND)
    for one, other in ((early, late), (late, early)):
        both = joined(one, other, BERLIN)
        assert (both.queue, both.metadata, both.direction, both.tags) == ("new", {"a": 1, "b": 2}, "inbound", ("x",))


def test_who_writes_is_kept_of_too_many() -> None:
    crowd = tuple(Participant(id=f"p{n}", role=Role.CUSTOMER) for n in range(MAX_PARTICIPANTS + 50))
    writers = {"p7", f"p{MAX_PARTICIPANTS + 49}"}
    kept = bounded_participants(crowd, writers)
    assert len(kept) == MAX_PARTICIPANTS
    assert writers <= {p.id for p in kept}
    assert bounded_participants(crowd[:5], ()) == crowd[:5]


def test_too_long_a_thread_is_refused() -> None:
    many = tuple(message(f"m{n}", 1) for n in range(MAX_MESSAGES))
    with pytest.raises(ValidationError):
        joined(chat(*many), chat(message("one more", 1)), BERLIN)


def test_links_are_distinct_and_bounded_and_the_root_stays() -> None:
    assert kept_links([" a ", "", "b", "a"]) == ("a", "b")
    many = kept_links([f"l{n}" for n in range(500)])
    assert (len(many), many[0], many[-1]) == (MAX_LINKS, "l0", "l499")
    assert len(link_digest("x" * 10_000)) == len(link_digest("\ud800")) == 32


def test_times_of_receipt_fill_gaps_only() -> None:
    timed = with_times(chat(message("1", None), message("2", 2)), START)
    assert [m.at for m in timed.messages or ()] == [START.isoformat(), (START + timedelta(minutes=2)).isoformat()]
