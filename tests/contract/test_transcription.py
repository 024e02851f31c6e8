"""What every transcription engine promises, whoever provides it."""

from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from domain.transcript import Transcript
from engines.protocols import AudioFile, TranscriptionEngine, TranscriptionRequest
from engines.transcription.registry import FACTORIES, build
from tests.support import deepgram_server, openai_audio_wire
from tests.support.calls import decoded
from tests.support.transcription import (
    AGENT,
    CUSTOMER,
    NO_PROGRESS,
    config,
    mixed,
    silent,
    two_channels,
    two_files,
)
from tests.support.wire_server import WireServer, wire_server

ENGLISH = TranscriptionRequest(language="en-GB", language_ground="hint")


@pytest.fixture(scope="module")
def provider() -> Iterator[deepgram_server.DeepgramServer]:
    with deepgram_server.deepgram_server() as server:
        yield server


@pytest.fixture(scope="module")
def audio_server() -> Iterator[WireServer]:
    with wire_server(openai_audio_wire.hears) as server:
        yield server


@pytest.fixture(params=["whisper", "deepgram", "openai_compatible"])
def engine(
    request: pytest.FixtureRequest, provider: deepgram_server.DeepgramServer, audio_server: WireServer
) -> TranscriptionEngine:
    if request.param == "openai_compatible":
        return build(config("openai_compatible", "whisper-1", f"{audio_server.url}/v1"), None)
    if request.param == "whisper":
        return build(config("whisper", "tiny.en", languages=["en"]), None)
    return build(config("deepgram", "nova-3", provider.url), SecretStr(provider.key))


async def heard(engine: TranscriptionEngine, *files: AudioFile) -> Transcript:
    return (await engine.transcribe(decoded(*files), ENGLISH, NO_PROGRESS)).transcript


def test_every_kind_has_this_suite() -> None:
    assert set(FACTORIES) == {"whisper", "deepgram", "openai_compatible"}


def test_an_engine_is_what_the_protocol_says(engine: TranscriptionEngine) -> None:
    assert isinstance(engine, TranscriptionEngine)


async def test_segments_are_in_order_on_their_channel_and_within_the_call(engine: TranscriptionEngine) -> None:
    transcript = await heard(engine, two_channels())
    assert transcript.duration_ms == 14_000
    assert transcript.speakers_separated
    assert {(s.channel, s.role) for s in transcript.segments} == {(0, AGENT), (1, CUSTOMER)}
    assert [s.start_ms for s in transcript.segments] == sorted(s.start_ms for s in transcript.segments)
    assert transcript.segments[0].role is AGENT
    for segment in transcript.segments:
        assert 0 <= segment.start_ms < segment.end_ms <= transcript.duration_ms
        assert segment.text.strip() == segment.text != ""
        assert segment.confidence is not None
        assert 0 <= segment.confidence <= 1


async def test_words_have_times_inside_their_segment(engine: TranscriptionEngine) -> None:
    transcript = await heard(engine, two_channels())
    for segment in transcript.segments:
        assert segment.words
        assert [w.start_ms for w in segment.words] == sorted(w.start_ms for w in segment.words)
        for word in segment.words:
            assert segment.start_ms <= word.start_ms <= word.end_ms <= segment.end_ms
            assert word.text.strip() == word.text != ""
            # None where the provider gives none, which is never made up
            assert (word.confidence is None) == (transcript.engine == "openai_compatible-under-test")
            assert 0 <= (word.confidence or 0) <= 1
        assert " ".join(w.text for w in segment.words).split() == segment.text.split()


async def test_two_files_give_what_two_channels_give(engine: TranscriptionEngine) -> None:
    one = await heard(engine, two_channels())
    two = await heard(engine, *two_files())
    assert two.segments == one.segments


async def test_a_file_that_starts_later_is_later_in_the_call(engine: TranscriptionEngine) -> None:
    now = await heard(engine, *two_files())
    later = await heard(engine, *two_files(offset_ms=100_000))
    assert later.duration_ms == now.duration_ms + 100_000
    assert [s.start_ms for s in later.segments] == [s.start_ms + 100_000 for s in now.segments]
    assert [w.end_ms for s in later.segments for w in s.words] == [
        w.end_ms + 100_000 for s in now.segments for w in s.words
    ]


async def test_silence_gives_no_text(engine: TranscriptionEngine) -> None:
    transcript = await heard(engine, silent())
    assert transcript.segments == ()
    assert transcript.duration_ms == 5_000


async def test_one_channel_for_all_gives_no_roles_and_says_so(engine: TranscriptionEngine) -> None:
    transcript = await heard(engine, mixed())
    assert transcript.segments
    assert {(s.channel, s.role) for s in transcript.segments} == {(0, None)}
    assert {note.code for note in transcript.notes} & {"speakers_not_separated", "roles_unknown"}
    told_apart = all(s.speaker is not None for s in transcript.segments)
    assert transcript.speakers_separated is told_apart


async def test_the_language_asked_for_and_its_ground_are_kept(engine: TranscriptionEngine) -> None:
    transcript = await heard(engine, two_channels(6))
    assert (transcript.language, transcript.language_ground) == ("en-GB", "hint")
    assert {segment.language for segment in transcript.segments} == {"en-GB"}
    assert transcript.engine.endswith("-under-test")
    assert transcript.model


async def test_the_same_call_gives_the_same_transcript(engine: TranscriptionEngine) -> None:
    assert await heard(engine, two_channels(8)) == await heard(engine, two_channels(8))


async def test_progress_rises_to_one_and_usage_counts_the_audio(engine: TranscriptionEngine) -> None:
    shares: list[float] = []
    answer = await engine.transcribe(decoded(*two_files()), ENGLISH, shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert answer.usage.audio_ms == pytest.approx(2 * 14_000, abs=2)


async def test_a_test_sends_something_real_and_says_what_it_saw(engine: TranscriptionEngine) -> None:
    assert " in " in await engine.test()
