"""From messages and transcripts to turns."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.conversation import Channel, Participant, Role
from domain.intake import AttachmentIn, Automatic, MessageIn, SegmentIn, TranscriptIn
from domain.normalize import (
    MERGE_GAP_MS,
    MERGED_CHARACTERS,
    notes_of_transcript,
    thread,
    transcript_of,
    turns_of_thread,
    turns_of_transcript,
)
from domain.times import StampContext
from domain.transcript import Segment, Thread, Transcript

RECEIVED = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
CONTEXT = StampContext(received_at=RECEIVED, source_zone="Europe/Berlin")
PEOPLE = (
    Participant(id="a1", role=Role.AGENT, name="Tom"),
    Participant(id="c1", role=Role.CUSTOMER),
    Participant(id="s", role=Role.SYSTEM),
)


def message(author: str, text: str, at: str | None = None, **more: str) -> MessageIn:
    return MessageIn(author=author, text=text, at=at, **more)


def read(*messages: MessageIn, channel: Channel = Channel.CHAT) -> Thread:
    return thread(messages, PEOPLE, CONTEXT, channel)


def codes(thread: Thread) -> list[str]:
    return [note.code for note in thread.notes]


def test_turns_are_numbered_and_keep_role_author_and_time() -> None:
    result = read(
        message("c1", "Hi", "2026-11-09T10:00:00Z", id="m1"),
        message("s", "Tom joined", "2026-11-09T10:00:05Z", id="m2"),
        message("a1", "Hello!", "2026-11-09T10:00:10Z", id="m3"),
    )
    assert result.notes == ()
    turns = turns_of_thread(result)
    assert [(t.number, t.role, t.participant_id, t.text) for t in turns] == [
        (1, Role.CUSTOMER, "c1", "Hi"),
        (2, Role.SYSTEM, "s", "Tom joined"),
        (3, Role.AGENT, "a1", "Hello!"),
    ]
    assert turns[0].at == datetime(2026, 11, 9, 10, 0, tzinfo=UTC)
    assert turns[0].start_ms is None


def test_order_is_by_time_and_equal_times_by_arrival() -> None:
    result = read(
        message("c1", "third", "2026-11-09T10:00:01Z"),
        message("c1", "first", "2026-11-09T10:59:00+01:00"),
        message("a1", "second", "2026-11-09T10:00:00Z"),
        message("c1", "fourth", "2026-11-09T10:00:01Z"),
    )
    assert [m.text for m in result.messages] == ["first", "second", "third", "fourth"]


def test_a_message_without_a_time_keeps_its_place() -> None:
    result = read(
        message("c1", "one", "2026-11-09T10:00:00Z"),
        message("a1", "two"),
        message("c1", "three", "2026-11-09T10:05:00Z"),
        message("a1", "four"),
    )
    assert [m.text for m in result.messages] == ["one", "two", "three", "four"]
    assert [m.at.hour for m in result.messages] == [10, 10, 10, 12]
    assert result.messages[3].at == RECEIVED
    note = next(note for note in result.notes if note.code == "time_missing")
    assert note.detail.startswith("2 messages")


def test_a_clock_far_off_is_said_and_does_not_tear_the_thread_apart() -> None:
    result = read(
        message("c1", "one", "2026-11-09T10:00:00Z"),
        message("a1", "two", "2099-01-01T00:00:00Z"),
        message("c1", "three", "1970-01-01T00:00:00Z"),
        message("a1", "four", "2026-11-09T10:05:00Z"),
    )
    assert [m.text for m in result.messages] == ["one", "two", "three", "four"]
    assert {"time_in_future", "time_far_past"} <= set(codes(result))
    assert max(m.at for m in result.messages) <= RECEIVED


def test_assumed_zones_are_said_once_for_the_thread() -> None:
    result = read(*(message("c1", f"m {n}", f"2026-11-09T10:00:{n:02}", id=str(n)) for n in range(60)))
    assert codes(result) == ["time_zone_assumed"]
    assert "60 messages" in result.notes[0].detail
    assert result.messages[0].at.hour == 9


def test_messages_without_text_are_left_out_and_said() -> None:
    result = read(message("c1", "  \n", id="1"), message("c1", "\u200b\x00", id="2"), message("c1", "Hi", id="3"))
    assert [m.text for m in result.messages] == ["Hi"]
    assert any(n.code == "message_empty" and n.detail.startswith("2 messages") for n in result.notes)
    assert [t.number for t in turns_of_thread(result)] == [1]


def test_repeats_are_left_out_and_reused_ids_kept_apart() -> None:
    result = read(message("c1", "Hi", id="1"), message("c1", "Hi", id="1"), message("c1", "Hi!", id="1"))
    assert [(m.id, m.text) for m in result.messages] == [("1", "Hi"), ("1#2", "Hi!")]
    assert {"message_repeated", "message_id_reused"} <= set(codes(result))


def test_missing_ids_are_made_and_said() -> None:
    first, second = (read(message("c1", "ok"), message("c1", "ok")) for _ in range(2))
    assert [m.id for m in first.messages] == [m.id for m in second.messages]
    assert len({m.id for m in first.messages}) == 2
    assert "message_id_missing" in codes(first)


def test_an_automatic_answer_is_the_systems_and_a_lists_message_its_authors() -> None:
    away = MessageIn(id="1", author="c1", text="I am away.", automatic=Automatic.AUTO_REPLY)
    listed = MessageIn(id="2", author="c1", text="Who knows?", automatic=Automatic.MAILING_LIST)
    found = read(away, listed, message("c1", "Hello", id="3"))
    assert [m.role for m in found.messages] == [Role.SYSTEM, Role.CUSTOMER, Role.CUSTOMER]
    assert [t.participant_id for t in turns_of_thread(found)] == ["c1"] * 3
    assert {"auto_reply", "mailing_list"} <= set(codes(found))


def test_files_stay_with_their_message_and_one_without_words_gives_no_turn() -> None:
    picture = AttachmentIn(name="a.png", media_type="image/png", size=3)
    found = read(MessageIn(id="1", author="c1", text=" ", attachments=(picture,)), message("c1", "See?", id="2"))
    assert [m.attachments for m in found.messages] == [(picture,), ()]
    assert [t.text for t in turns_of_thread(found)] == ["See?"]
    assert "message_empty" not in codes(found)


def test_text_as_sent_is_kept_beside_text_as_read() -> None:
    sent = "It broke.\r\n\r\nOn 2 May 2026, Ann wrote:\r\n> which one?\r\n"
    email = read(message("c1", sent, "2026-11-09T10:00:00Z", id="1"), channel=Channel.EMAIL)
    assert (email.messages[0].text, email.messages[0].text_as_sent) == ("It broke.", sent)
    assert codes(email) == ["quotes_removed"]
    chat = read(message("c1", "> not a quote here", id="1"), channel=Channel.CHAT)
    assert chat.messages[0].text == "> not a quote here"


def test_a_subject_is_read_once() -> None:
    result = read(
        message("c1", "It broke.", "2026-11-09T10:00:00Z", subject="Kettle"),
        message("a1", "Sorry!", "2026-11-09T11:00:00Z", subject="RE: Re: Kettle"),
        message("c1", "", "2026-11-09T11:30:00Z", subject="AW: kettle"),
        message("c1", "", "2026-11-09T12:00:00Z", subject="Refund now"),
        channel=Channel.EMAIL,
    )
    assert [(t.number, t.text) for t in turns_of_thread(result)] == [
        (1, "Kettle\n\nIt broke."),
        (2, "Sorry!"),
        (3, "Refund now"),
    ]


def test_a_message_of_a_megabyte_stays_one_message() -> None:
    text = "ünd so weiter " * 74_000
    result = read(message("c1", text[:1_048_576]))
    assert len(turns_of_thread(result)) == 1
    assert len(turns_of_thread(result)[0].text) > 1_000_000


def test_a_long_thread_costs_in_proportion() -> None:
    def seconds(count: int) -> float:
        began = RECEIVED - timedelta(days=1)
        messages = [message("c1", f"m {n} é", (began + timedelta(seconds=n)).isoformat()) for n in range(count)]
        start = time.thread_time()
        turns = turns_of_thread(thread(messages, PEOPLE, CONTEXT, Channel.EMAIL))
        assert [turn.number for turn in turns] == list(range(1, count + 1))
        return time.thread_time() - start  # of the processor: what else the machine does is no matter

    seconds(100)
    small, large = min(seconds(500) for _ in range(3)), seconds(5000)
    assert large < small * 10 * 5, "ten times the messages may not cost fifty times the time"


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=12))
def test_order_by_time_is_stable(stamps: list[tuple[int, bool]]) -> None:
    messages = [
        message("c1", f"text {n}", f"2026-11-09T10:00:0{second}Z" if known else None, id=str(n))
        for n, (second, known) in enumerate(stamps)
    ]
    result = read(*messages).messages
    assert {m.id for m in result} == {m.id for m in messages}
    assert [m.at for m in result] == sorted(m.at for m in result)
    for one, other in pairwise(result):
        if one.at == other.at:
            assert int(one.id) < int(other.id)


# -- calls ------------------------------------------------------------------------------------------------


def transcript(*segments: Segment, separated: bool = True) -> Transcript:
    return Transcript(
        engine="whisper", model="tiny", language="en", language_ground="configured", segments=segments,
        duration_ms=60_000, speakers_separated=separated,
    )  # fmt: skip


def said(start: int, end: int, text: str, role: Role | None = None, **more: str) -> Segment:
    return Segment(start_ms=start, end_ms=end, text=text, role=role, **more)


def test_segments_of_one_speaker_become_one_turn() -> None:
    turns = turns_of_transcript(
        transcript(
            said(0, 900, "Thank you for calling.", Role.AGENT),
            said(1000, 1500, "How can I help?", Role.AGENT),
            said(2000, 2500, "Hi.", Role.CUSTOMER),
            said(2500 + MERGE_GAP_MS + 1, 6000, "My card is lost.", Role.CUSTOMER),
        ),
        PEOPLE,
    )
    assert [(t.number, t.participant_id, t.text, t.start_ms, t.end_ms) for t in turns] == [
        (1, "a1", "Thank you for calling. How can I help?", 0, 1500),
        (2, "c1", "Hi.", 2000, 2500),
        (3, "c1", "My card is lost.", 4001, 6000),
    ]


def test_turns_are_in_order_of_start_when_speakers_overlap() -> None:
    turns = turns_of_transcript(
        transcript(
            said(0, 5000, "So what I will do", Role.AGENT),
            said(6000, 9000, "is send a new one.", Role.AGENT),
            said(5200, 5600, "Okay.", Role.CUSTOMER),
        ),
        PEOPLE,
    )
    assert [t.text for t in turns] == ["So what I will do", "Okay.", "is send a new one."]


def test_long_turns_take_no_more_segments() -> None:
    segments = [said(n * 100, n * 100 + 90, "word " * 40, Role.AGENT) for n in range(20)]
    turns = turns_of_transcript(transcript(*segments), PEOPLE)
    assert len(turns) > 1
    assert all(len(turn.text) < MERGED_CHARACTERS + 200 for turn in turns)


def test_mixed_audio_has_no_roles_and_says_so() -> None:
    mono = transcript(said(0, 900, "Thank you for calling."), said(1000, 1500, "Hi."), separated=False)
    turns = turns_of_transcript(mono, PEOPLE)
    assert [(t.role, t.participant_id, t.text) for t in turns] == [
        (Role.UNKNOWN, "mixed", "Thank you for calling."),
        (Role.UNKNOWN, "mixed", "Hi."),
    ]
    assert [note.code for note in notes_of_transcript(mono, PEOPLE)] == ["speakers_not_separated"]


def test_speakers_without_role_stay_apart() -> None:
    diarized = transcript(said(0, 900, "Hi.", speaker="0"), said(950, 1500, "Hello.", speaker="1"))
    turns = turns_of_transcript(diarized, PEOPLE)
    assert [(t.participant_id, t.role) for t in turns] == [("speaker-0", Role.UNKNOWN), ("speaker-1", Role.UNKNOWN)]
    assert [note.code for note in notes_of_transcript(diarized, PEOPLE)] == ["speaker_roles_unknown"]


def test_of_two_agents_none_is_picked() -> None:
    people = (*PEOPLE, Participant(id="a2", role=Role.AGENT))
    call = transcript(said(0, 900, "Hi.", Role.AGENT), said(950, 1500, "Hello.", Role.CUSTOMER))
    assert [t.participant_id for t in turns_of_transcript(call, people)] == ["agent", "c1"]
    assert [note.code for note in notes_of_transcript(call, people)] == ["speaker_not_identified"]
    assert [t.participant_id for t in turns_of_transcript(call, ())] == ["agent", "customer"]
    assert notes_of_transcript(call, ()) == ()


def test_a_ready_made_transcript_keeps_its_speakers() -> None:
    supplied = TranscriptIn(
        language="en",
        segments=(
            SegmentIn(speaker="c1", start_ms=3000, end_ms=4000, text=" My card\x00 is lost. "),
            SegmentIn(speaker="a1", start_ms=0, end_ms=2000, text="Hello."),
            SegmentIn(speaker="a1", start_ms=5000, end_ms=5100, text=" "),
        ),
    )
    made = transcript_of(supplied, PEOPLE)
    assert (made.engine, made.language_ground, made.duration_ms) == ("supplied", "supplied", 5100)
    turns = turns_of_transcript(made, PEOPLE)
    assert [(t.role, t.text) for t in turns] == [(Role.AGENT, "Hello."), (Role.CUSTOMER, "My card is lost.")]
    assert [note.code for note in notes_of_transcript(made, PEOPLE)] == ["segment_empty"]


@given(
    st.lists(
        st.tuples(st.integers(0, 20_000), st.integers(0, 4000), st.sampled_from([Role.AGENT, Role.CUSTOMER, None])),
        max_size=15,
    )
)
def test_no_word_is_lost_or_doubled(spans: Sequence[tuple[int, int, Role | None]]) -> None:
    segments = [said(start, start + length, f"w{n}", role) for n, (start, length, role) in enumerate(spans)]
    turns = turns_of_transcript(transcript(*segments), PEOPLE)
    words = [word for turn in turns for word in turn.text.split()]
    assert sorted(words) == sorted(segment.text for segment in segments)
    assert [t.number for t in turns] == list(range(1, len(turns) + 1))
    starts = [t.start_ms for t in turns]
    assert starts == sorted(starts, key=lambda start: start or 0)


@pytest.mark.parametrize(
    ("actual", "wanted", "may"),
    [
        (Role.CUSTOMER, None, True),
        (Role.CUSTOMER, Role.CUSTOMER, True),
        (Role.AGENT, Role.CUSTOMER, False),
        (Role.UNKNOWN, Role.CUSTOMER, True),
        (Role.SYSTEM, Role.AGENT, False),
    ],
)
def test_whose_words_may_count(actual: Role, wanted: Role | None, may: bool) -> None:
    assert actual.may_be(wanted) is may
