"""Audio endpoints of OpenAI's form through the official SDK: what is sent, what is made of answers, every fault."""

from __future__ import annotations

import asyncio
import wave
from collections.abc import Iterator
from io import BytesIO

import numpy as np
import pytest
from pydantic import SecretStr

from domain.errors import (
    EngineAnswerMalformed,
    EngineError,
    EngineQuotaExhausted,
    EngineRateLimited,
    EngineRejected,
    EngineTimeout,
    EngineUnavailable,
)
from engines.audio.speech import SAMPLE_RATE
from engines.protocols import AudioFile, TranscriptionAnswer, TranscriptionEngine, TranscriptionRequest
from engines.transcription.registry import build
from tests.support import openai_audio_wire as wire
from tests.support import openai_wire
from tests.support.calls import decoded
from tests.support.transcription import AGENT, NO_PROGRESS, config, silent, spoken, two_channels, wav_of
from tests.support.wire_server import HANG, Reply, WireServer, as_json, dropped, half, html, wire_server

KEY = "key-SECRET-1"
SHORT = 4.0
ENGLISH = TranscriptionRequest(language="en-GB", language_ground="hint")


@pytest.fixture
def server() -> Iterator[WireServer]:
    with wire_server(wire.hears) as running:
        yield running


def engine_at(server: WireServer, **parameters: object) -> TranscriptionEngine:
    made = config("openai_compatible", "whisper-1", f"{server.url}/v1", **parameters)
    return build(made.model_copy(update={"credentials": "env:KEY"}), SecretStr(KEY))


async def ask(
    engine: TranscriptionEngine, *files: AudioFile, request: TranscriptionRequest = ENGLISH
) -> TranscriptionAnswer:
    return await engine.transcribe(decoded(*files), request, NO_PROGRESS)


async def test_one_request_a_track_with_its_own_audio(server: WireServer) -> None:
    answer = await ask(engine_at(server), two_channels())
    assert answer.usage.requests == server.count == 2
    for received, channel in zip(server.received, spoken(), strict=True):
        assert received.path == "/v1/audio/transcriptions"
        assert received.headers["authorization"] == f"Bearer {KEY}"
        sent = wire.sent(received)
        assert sent.fields["model"] == ["whisper-1"]
        assert sent.fields["language"] == ["en"], "the endpoint knows languages by their primary subtag"
        assert sent.fields["timestamp_granularities[]"] == ["word", "segment"]
        with wave.open(BytesIO(sent.file)) as file:
            assert (file.getframerate(), file.getnchannels()) == (SAMPLE_RATE, 1)
            assert file.getnframes() == len(channel)


async def test_silence_is_not_sent(server: WireServer) -> None:
    answer = await ask(engine_at(server), silent())
    assert server.count == 0
    assert answer.usage.requests == answer.usage.audio_ms == 0


async def test_a_long_track_is_cut_where_nobody_speaks(server: WireServer) -> None:
    whole = await ask(engine_at(server), two_channels())
    count = server.count
    cut = await ask(engine_at(server, minutes_per_request=0.1), two_channels())
    assert server.count > 2 * count
    for received in server.received[count:]:
        with wave.open(BytesIO(wire.sent(received).file)) as file:
            assert file.getnframes() <= 0.1 * 60 * SAMPLE_RATE
    heard = [(s.channel, w.start_ms // 100) for s in cut.transcript.segments for w in s.words]
    expected = [(s.channel, w.start_ms // 100) for s in whole.transcript.segments for w in s.words]
    assert len(heard) >= len(expected) * 0.9
    assert {s.channel for s in cut.transcript.segments} == {0, 1}
    assert cut.usage.audio_ms <= whole.usage.audio_ms


async def test_speech_without_a_pause_is_cut_all_the_same(server: WireServer) -> None:
    rng = np.random.default_rng(1)
    tone = (rng.normal(0, 6000, SAMPLE_RATE * 20)).astype(np.int16)
    server.respond = lambda _: as_json({"text": "on and on"})
    answer = await ask(engine_at(server, minutes_per_request=0.1), AudioFile(wav_of(tone), (AGENT,)))
    assert answer.usage.requests == server.count
    assert all(s.end_ms <= 20_000 for s in answer.transcript.segments)


async def test_a_model_without_times_gives_the_speechs_own(server: WireServer) -> None:
    answer = await ask(engine_at(server, response_format="json"), two_channels(SHORT))
    assert "timestamp_granularities[]" not in wire.sent(server.received[0]).fields
    call = decoded(two_channels(SHORT))
    for segment in answer.transcript.segments:
        assert segment.words == ()
        speech = call.tracks[segment.channel or 0].speech
        assert (segment.start_ms, segment.end_ms) == (speech[0].start_ms, speech[-1].end_ms)


@pytest.mark.parametrize(
    ("said", "tag"), [("english", "en"), ("German", "de"), ("pt", "pt"), ("klingon", None), ("", None), (None, None)]
)
async def test_a_language_that_was_heard(server: WireServer, said: str | None, tag: str | None) -> None:
    server.respond = lambda _: as_json({"text": "hello", "language": said})
    transcript = (await ask(engine_at(server), two_channels(SHORT), request=TranscriptionRequest())).transcript
    assert transcript.language == tag
    assert transcript.language_ground == ("detected" if tag else "not detected")
    assert "language" not in wire.sent(server.received[0]).fields


async def test_the_vocabulary_is_a_prompt(server: WireServer) -> None:
    await ask(engine_at(server), two_channels(SHORT), request=TranscriptionRequest("en", vocabulary=("Acme", "SIM")))
    assert wire.sent(server.received[0]).fields["prompt"] == ["Acme, SIM"]


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (openai_wire.error(400, "invalid_file"), EngineRejected),
        (openai_wire.error(401, "invalid_api_key"), EngineRejected),
        (openai_wire.error(413, None), EngineRejected),
        (openai_wire.rate_limited(retry_after="7"), EngineRateLimited),
        (openai_wire.error(429, "insufficient_quota"), EngineQuotaExhausted),
        (openai_wire.error(500, None), EngineUnavailable),
        (html(502), EngineUnavailable),
        (html(), EngineAnswerMalformed),
        (half(as_json({"text": "hello", "language": "english"})), EngineAnswerMalformed),
        (as_json({"words": []}), EngineAnswerMalformed),
        (as_json({"text": "x", "segments": [{"start": -1, "end": 2, "text": "x"}]}), EngineAnswerMalformed),
        (dropped(as_json({"text": "hello hello hello hello"})), EngineUnavailable),
    ],
)
async def test_every_fault_has_its_name_and_is_asked_once(
    server: WireServer, reply: Reply, expected: type[EngineError]
) -> None:
    server.script.append(reply)
    with pytest.raises(EngineError) as raised:
        await ask(engine_at(server), two_channels(SHORT))
    assert type(raised.value) is expected
    assert "SECRET" not in f"{raised.value} {raised.value!r}"
    assert server.count == 1


async def test_a_server_that_hangs_is_given_up(server: WireServer) -> None:
    server.script.append(HANG)
    async with asyncio.timeout(20):
        with pytest.raises(EngineTimeout):
            await ask(engine_at(server, timeout_seconds=0.3), two_channels(SHORT))
