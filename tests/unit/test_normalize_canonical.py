"""The same content again has the same hash; other content has another."""

import random
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.canonical import canonical_turns_hash, rendition_hash
from domain.conversation import Role
from domain.intake import ConversationIn
from domain.turns import Turn

PEOPLE = [{"id": "a1", "role": "agent", "name": "Tom"}, {"id": "c1", "role": "customer"}]
UPLOADS = {
    "11111111-1111-4111-8111-111111111111": "aa" * 32,
    "22222222-2222-4222-8222-222222222222": "bb" * 32,
}
FIRST, SECOND = UPLOADS


def hash_of(uploads: dict[str, str] = UPLOADS, **body: Any) -> str:
    whole = {"external_id": "x", "channel": "chat", "participants": PEOPLE, **body}
    return canonical_turns_hash(ConversationIn.model_validate(whole), uploads)


def chat(*messages: dict[str, Any], **more: Any) -> str:
    return hash_of(messages=list(messages), **more)


ONE = {"id": "m1", "author": "c1", "at": "2026-11-09T10:00:00Z", "text": "Hi"}
TWO = {"id": "m2", "author": "a1", "at": "2026-11-09T10:00:05Z", "text": "Hello!"}


@pytest.mark.parametrize(
    "same",
    [
        [TWO, ONE],
        [ONE, TWO, TWO],
        [{**ONE, "at": "2026-11-09T11:00:00.000+01:00"}, TWO],
        [{**ONE, "id": "other"}, {k: v for k, v in TWO.items() if k != "id"}],
        [{**ONE, "text": " Hi\u200b\r\n"}, TWO],
        [ONE, {"author": "a1", "text": "\x00", "at": "2026-11-09T10:00:01Z"}, TWO],
        [ONE, {**TWO, "attachments": [{"name": "a.png"}], "automatic": "mailing_list"}],
    ],
    ids=["order", "repeat", "format of stamps", "ids", "invisible", "empty", "files with a text"],
)
def test_what_changes_nothing(same: list[dict[str, Any]]) -> None:
    assert chat(*same) == chat(ONE, TWO)


@pytest.mark.parametrize(
    "other",
    [
        [ONE],
        [ONE, {**TWO, "text": "Hello?"}],
        [ONE, {**TWO, "author": "c1"}],
        [ONE, {**TWO, "at": "2026-11-09T10:00:06Z"}],
        [ONE, {**TWO, "at": None}],
        [ONE, {**TWO, "at": "2026-11-09T10:00:05"}],
        [ONE, TWO, {**TWO, "id": "m3"}],
        [ONE, {**TWO, "subject": "Kettle"}],
        [ONE, {**TWO, "automatic": "auto_reply"}],
        [ONE, TWO, {"author": "c1", "text": "", "attachments": [{"name": "a.png"}]}],
    ],
    ids=[
        "fewer",
        "words",
        "author",
        "time",
        "no time",
        "no offset",
        "said twice",
        "subject",
        "automatic",
        "a picture alone",
    ],
)
def test_what_makes_it_other_content(other: list[dict[str, Any]]) -> None:
    assert chat(*other) != chat(ONE, TWO)


def test_metadata_is_no_content_and_channel_and_role_are() -> None:
    base = chat(ONE, TWO)
    assert chat(ONE, TWO, metadata={"plan": "gold"}, tags=["vip"], queue="q", started_at="2026-11-09T09:00:00Z") == base
    assert chat(ONE, TWO, participants=[{**PEOPLE[0], "name": "Ann"}, PEOPLE[1]]) == base
    assert chat(ONE, TWO, participants=[{**PEOPLE[0], "role": "bot"}, PEOPLE[1]]) != base
    assert chat(ONE, TWO, channel="ticket") != base


def test_order_counts_where_only_order_tells() -> None:
    bare = [{k: v for k, v in m.items() if k != "at"} for m in (ONE, TWO)]
    assert chat(*bare) != chat(*reversed(bare))
    at_once = [{**m, "at": "2026-11-09T10:00:00Z"} for m in (ONE, TWO)]
    assert chat(*at_once) != chat(*reversed(at_once))


moments = st.datetimes(datetime(2000, 1, 1), datetime(2026, 1, 1)).map(lambda moment: moment.replace(tzinfo=UTC))  # noqa: DTZ001


@given(st.lists(st.tuples(moments, st.text(max_size=20), st.integers(-840, 840)), max_size=8), st.randoms())
def test_shuffled_and_rewritten_is_the_same(said: list[tuple[datetime, str, int]], chance: random.Random) -> None:
    plain = [
        {"author": "c1", "at": (moment + timedelta(seconds=n)).isoformat(), "text": text}
        for n, (moment, text, _) in enumerate(said)
    ]
    if len({m["at"] for m in plain}) < len(plain):
        return
    rewritten = [
        {
            **one,
            "at": datetime.fromisoformat(one["at"]).astimezone(timezone(timedelta(minutes=offset))).isoformat(sep=" "),
            "text": f"\ufeff{one['text']}\r\n",
            "id": str(n),
        }
        for n, (one, (_, _, offset)) in enumerate(zip(plain, said, strict=True))
    ]
    chance.shuffle(rewritten)
    assert chat(*rewritten) == chat(*plain)


def call(*audio: dict[str, Any], uploads: dict[str, str] = UPLOADS) -> str:
    return hash_of(uploads, channel="call", audio=list(audio))


def test_audio_is_its_bytes_and_who_speaks() -> None:
    agent, customer = {"id": FIRST, "role": "agent"}, {"id": SECOND, "role": "customer"}
    base = call(agent, customer)
    assert call(customer, agent) == base
    again = {SECOND: UPLOADS[FIRST], FIRST: UPLOADS[SECOND]}
    assert call({**agent, "id": SECOND}, {**customer, "id": FIRST}, uploads=again) == base
    assert call({**agent, "role": "customer"}, {**customer, "role": "agent"}) != base
    assert call(agent, {**customer, "offset_ms": 5}) != base
    assert call({"id": FIRST}, {"id": SECOND}) != call({"id": SECOND}, {"id": FIRST})
    with pytest.raises(KeyError):
        call({"id": "33333333-3333-4333-8333-333333333333"})


def test_a_link_signed_anew_is_the_same_link() -> None:
    url = "https://store.example.com/calls/1.wav?versionId=3&X-Amz-Date={d}&X-Amz-Signature={s}"
    first, again = (call({"url": url.format(d=day, s=sign)}) for day, sign in (("1", "ab"), ("2", "cd")))
    assert first == again
    azure = "https://store.example.com/calls/1.wav?sv=2024&se={e}&sig={s}"
    assert call({"url": azure.format(e=1, s="x")}) == call({"url": azure.format(e=2, s="y")})
    assert call({"url": "https://x.example.com/?st=1"}) != call({"url": "https://x.example.com/?st=2"})
    known = {**UPLOADS, url.format(d="1", s="ab"): UPLOADS[FIRST]}
    assert call({"url": url.format(d="1", s="ab")}, uploads=known) == call({"id": FIRST})


def test_a_transcript_is_its_words_not_its_engine() -> None:
    segments = [
        {"speaker": "a1", "start_ms": 0, "end_ms": 900, "text": "Hello."},
        {"speaker": "c1", "start_ms": 1000, "end_ms": 1500, "text": "Hi."},
    ]
    base = hash_of(channel="call", transcript={"segments": segments})
    assert hash_of(channel="call", transcript={"engine": "other", "segments": segments[::-1]}) == base
    segments[1] = {**segments[1], "text": "Hi!"}
    assert hash_of(channel="call", transcript={"segments": segments}) != base


def test_a_rendition_is_its_turns_and_its_redactor() -> None:
    turns = [Turn(number=1, role=Role.CUSTOMER, participant_id="c1", text="[name]")]
    assert rendition_hash(turns, "r1") == rendition_hash(tuple(turns), "r1")
    assert rendition_hash(turns, "r1") != rendition_hash(turns, "r2")
