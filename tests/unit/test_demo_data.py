"""The demo's conversations and the bench's cases: whole, labelled, consistent, and their audio decodes."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import av
import pytest

from domain.intake import ConversationIn
from domain.starter import CHURN_RISK, CONTACT_REASON, SENTIMENT

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "cli" / "demo_data"
CASES = ROOT / "bench" / "cases"
HELD_OUT = ROOT / "bench" / "held_out"
CONVERSATIONS = sorted(path for folder in (DEMO, CASES, HELD_OUT) for path in folder.glob("conversations/*.json"))
CALLS = [path for path in CONVERSATIONS if path.stem.startswith("call-")]
TRANSCRIPTS = [path for path in CONVERSATIONS if path.stem.startswith("case-call-")]
TEXTS = [path for path in CONVERSATIONS if path not in CALLS and path not in TRANSCRIPTS]

CHANNELS = {"call", "chat", "email", "ticket"}
ROLES = {"agent", "customer", "bot", "system", "unknown"}
# a label is one of the field's options, or says that there is no ground for any
REASONS, SENTIMENTS, CHURN = (
    {option.id for option in field.options} | {"unknown"} for field in (CONTACT_REASON, SENTIMENT, CHURN_RISK)
)
VOICES = {"rms", "awb", "slt"}

by_name = pytest.mark.parametrize("path", CONVERSATIONS, ids=lambda path: path.stem)
by_call = pytest.mark.parametrize("path", CALLS, ids=lambda path: path.stem)
by_text = pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)


@dataclass(frozen=True)
class Sound:
    """What decoding a whole file told."""

    channels: int
    rate: int
    seconds: float
    loud_share: float  # of the time, frames in which somebody speaks


def load(path: Path) -> dict[str, Any]:
    body = json.loads(path.read_text(encoding="utf-8"))
    assert isinstance(body, dict)
    return body


def label_of(path: Path) -> dict[str, Any]:
    return load(path.parents[1] / "labels" / path.name)


def as_list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def stamp(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    assert at.utcoffset() is not None, f"{text} has no offset"
    return at


@cache
def decoded(path: Path) -> Sound:
    """Decode every frame: a truncated or empty file does not pass."""
    samples = loud = 0
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        for frame in container.decode(stream):
            samples += frame.samples
            wave = frame.to_ndarray()
            full_scale = 32_768 if frame.format.name.startswith("s16") else 1.0
            loud += frame.samples * bool((abs(wave.astype(float)) > 0.02 * full_scale).any())
        channels, rate = stream.codec_context.layout.nb_channels, stream.codec_context.sample_rate
    return Sound(channels=channels, rate=rate, seconds=samples / rate, loud_share=loud / samples)


def said(path: Path) -> str:
    """Everything written or spoken in a conversation."""
    body = load(path)
    if "messages" in body:
        return "\n".join(f"{message.get('subject', '')}\n{message['text']}" for message in body["messages"])
    if "transcript" in body:
        return "\n".join(segment["text"] for segment in body["transcript"]["segments"])
    return "\n".join(turn["text"] for turn in load(DEMO / "scripts" / path.name)["turns"])


def letters(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))


def test_enough_of_every_channel_and_four_industries() -> None:
    bodies = [load(path) for path in sorted(DEMO.glob("conversations/*.json"))]
    assert all(count >= 7 for count in Counter(body["channel"] for body in bodies).values())
    assert {body["channel"] for body in bodies} == CHANNELS
    assert {body["metadata"]["industry"] for body in bodies} == {"retail", "banking", "telecom", "travel"}


def test_demo_folder_is_small() -> None:
    assert sum(file.stat().st_size for file in DEMO.rglob("*") if file.is_file()) < 4_000_000


def test_natural_keys_are_unique() -> None:
    keys = Counter((load(path)["source"], load(path)["external_id"]) for path in CONVERSATIONS)
    assert not [key for key, count in keys.items() if count > 1]


@pytest.mark.parametrize("folder", [DEMO, CASES, HELD_OUT], ids=["demo", "cases", "held-out"])
def test_every_conversation_has_a_label_and_every_label_a_conversation(folder: Path) -> None:
    conversations = {path.name for path in folder.glob("conversations/*.json")}
    assert conversations == {path.name for path in folder.glob("labels/*.json")}


def test_the_promised_traps_are_there() -> None:
    traps = {trap for path in CONVERSATIONS for trap in label_of(path)["traps"]}
    assert traps >= {
        *("sarcasm", "agent_opposite", "frequent_quote", "no_evidence", "explicit_rating", "personal_data"),
        *("second_language", "reopened", "negation", "reported_speech", "mixed", "neutral_cancel", "praise_agent"),
        *("question_only", "emoji_only", "caps", "quoted_mail", "interruption", "hold", "mono"),
    }
    assert [path.stem for path in CONVERSATIONS if label_of(path)["expected_skips"] == ["too_short"]] == ["chat-0005"]


@by_name
def test_conversation_is_well_formed(path: Path) -> None:
    body = load(path)
    assert body["external_id"] == path.stem
    assert body["channel"] in CHANNELS
    assert body["direction"] in {"inbound", "outbound"}
    assert body["closed"] is True
    assert all(isinstance(value, str | int | float | bool) for value in body["metadata"].values())
    ids = [participant["id"] for participant in body["participants"]]
    assert len(ids) == len(set(ids))
    assert {participant["role"] for participant in body["participants"]} <= ROLES
    assert any(participant["role"] == "customer" for participant in body["participants"])
    start, end = stamp(body["started_at"]), stamp(body["ended_at"])
    assert datetime.fromisoformat("2026-10-05T00:00:00+00:00") < start <= end
    assert end < datetime.fromisoformat("2026-11-21T00:00:00+00:00")
    assert sum(form in body for form in ("messages", "audio", "transcript")) == 1


@by_name
def test_the_api_takes_it(path: Path) -> None:
    body = load(path)
    for part in body.get("audio", []):
        part["id"] = str(uuid5(NAMESPACE_URL, part.pop("file")))  # what the client does after the upload
    taken = ConversationIn.model_validate(body)
    assert taken.external_id == path.stem


@by_text
def test_messages_are_in_order_and_by_known_authors(path: Path) -> None:
    body = load(path)
    messages = body["messages"]
    assert len({message["id"] for message in messages}) == len(messages)
    assert {message["author"] for message in messages} <= {participant["id"] for participant in body["participants"]}
    assert all(message["text"].strip() for message in messages)
    times = [stamp(message["at"]) for message in messages]
    assert times == sorted(times)
    assert stamp(body["started_at"]) <= times[0]
    assert times[-1] <= stamp(body["ended_at"])


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_transcripts_are_telephone_speech(path: Path) -> None:
    segments = load(path)["transcript"]["segments"]
    assert all(one["end_ms"] <= other["start_ms"] for one, other in pairwise(segments))
    assert not any(letter in segment["text"] for segment in segments for letter in ".,?!")


@by_call
def test_audio_decodes_as_said(path: Path) -> None:
    body = load(path)
    sounds = [decoded(DEMO / part["file"]) for part in body["audio"]]
    for part, sound in zip(body["audio"], sounds, strict=True):
        assert sound.channels == len(part.get("channels", ["one speaker"]))
        assert 8_000 <= sound.rate <= 48_000
        assert 25 <= sound.seconds <= 75.5
        assert 0.2 < sound.loud_share < 1
    length = stamp(body["ended_at"]) - stamp(body["started_at"])
    assert abs(length - timedelta(seconds=sounds[0].seconds)) < timedelta(seconds=2)
    if len(sounds) > 1:
        assert {part["role"] for part in body["audio"]} == {"agent", "customer"}
        assert abs(sounds[0].seconds - sounds[1].seconds) < 0.5


def test_audio_formats_and_total_length() -> None:
    files = {DEMO / part["file"] for path in CALLS for part in load(path)["audio"]}
    assert files == set(DEMO.glob("audio/*")), "an audio file nobody names, or one that is missing"
    assert {file.suffix for file in files} == {".ogg", ".flac", ".mp3", ".m4a"}
    assert any(load(path)["audio"][0].get("channels") == ["mixed"] for path in CALLS)
    assert any(len(load(path)["audio"]) == 2 for path in CALLS)
    assert sum(decoded(DEMO / load(path)["audio"][0]["file"]).seconds for path in CALLS) < 8 * 60


@by_call
def test_script_belongs_to_its_call(path: Path) -> None:
    script = load(DEMO / "scripts" / path.name)
    assert script["external_id"] == path.stem
    assert script["audio"] == load(path)["audio"]
    assert {turn["voice"] for turn in script["turns"]} <= VOICES
    voices = {turn["speaker"]: turn["voice"] for turn in script["turns"]}
    assert set(voices) == {"agent", "customer"}
    assert voices["agent"] != voices["customer"]
    assert all(turn["text"].strip() for turn in script["turns"])


def test_scripts_hold_an_interruption_and_a_hold() -> None:
    pauses = [turn["pause_before_ms"] for path in CALLS for turn in load(DEMO / "scripts" / path.name)["turns"]]
    assert min(pauses) <= -500
    assert max(pauses) >= 8_000


@by_name
def test_label_uses_the_known_values(path: Path) -> None:
    label = label_of(path)
    assert label["external_id"] == path.stem
    fields = label["fields"]
    band = fields["csat"]["band"]
    assert band is None or (len(band) == 2 and 1 <= band[0] <= band[1] <= 5)
    assert fields["csat"]["why"]
    also = fields.get("also_acceptable", {})
    assert set(also) <= {"csat", "sentiment", "contact_reason", "churn_risk"}
    assert also.get("csat", ["unknown"]) == ["unknown"]
    assert {*as_list(fields["sentiment"]), *also.get("sentiment", [])} <= SENTIMENTS
    assert {*as_list(fields["contact_reason"]), *also.get("contact_reason", [])} <= REASONS
    assert {*as_list(fields["churn_risk"]), *also.get("churn_risk", [])} <= CHURN
    assert fields["churn_reason"] is None or fields["churn_reason"]
    facts = [*fields["summary"]["must"], *fields["next_actions"]["must"]]
    assert all(fact and all(isinstance(word, str) and word for word in fact) for fact in facts)
    assert not (fields["next_actions"]["none_expected"] and fields["next_actions"]["must"])


@by_name
def test_facts_of_the_summary_are_in_the_conversation(path: Path) -> None:
    """At least one alternative of each fact is in the text itself: a label cannot ask for what nobody said."""
    text = said(path).casefold()
    missing = [
        fact for fact in label_of(path)["fields"]["summary"]["must"] if not any(w.casefold() in text for w in fact)
    ]
    assert not missing


@by_name
def test_personal_data_of_the_label_is_in_the_conversation(path: Path) -> None:
    label = label_of(path)
    text = letters(said(path))
    strings = [*label["personal_data"], *label.get("personal_data_wider", [])]
    found = {string for string in strings if f" {letters(string)} " in f" {text} "}
    if path in CALLS:  # the written form of something spoken is listed too
        assert bool(found) == bool(strings)
    else:
        assert found == set(strings)
