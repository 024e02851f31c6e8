"""Deepgram through its official SDK against a server of its wire format: what is sent, and every way it can fail."""

import hashlib
import logging
import socket
from collections.abc import Iterator
from email.utils import format_datetime
from typing import Any

import pytest
from pydantic import SecretStr

from domain.clock import utc_now
from domain.errors import (
    EngineAnswerMalformed,
    EngineError,
    EngineQuotaExhausted,
    EngineRateLimited,
    EngineRejected,
    EngineTimeout,
    EngineUnavailable,
)
from engines.protocols import AudioFile, TranscriptionAnswer, TranscriptionEngine, TranscriptionRequest
from engines.transcription.registry import build
from tests.support import deepgram_server as wire
from tests.support.calls import decoded
from tests.support.transcription import (
    AGENT,
    NO_PROGRESS,
    config,
    mixed,
    two_channels,
    two_files,
    wav_of,
)

SHORT = 4.0


@pytest.fixture
def provider() -> Iterator[wire.DeepgramServer]:
    with wire.deepgram_server() as server:
        yield server


def engine_at(url: str, *, key: str = wire.KEY, model: str = "nova-3", **parameters: object) -> TranscriptionEngine:
    return build(config("deepgram", model, url, **{"timeout_seconds": 20, **parameters}), SecretStr(key))


async def ask(
    engine: TranscriptionEngine, *files: AudioFile, request: TranscriptionRequest | None = None
) -> TranscriptionAnswer:
    return await engine.transcribe(decoded(*files), request or TranscriptionRequest(language="en"), NO_PROGRESS)


async def test_a_call_with_a_channel_for_each_speaker(provider: wire.DeepgramServer) -> None:
    file = two_channels(SHORT)
    await ask(engine_at(provider.url), file)
    [sent] = provider.received
    assert sent.sha256 == hashlib.sha256(file.data).hexdigest()
    assert sent.authorization == f"Token {wire.KEY}"
    assert sent.content_type == "application/octet-stream"
    assert sent.query == {
        "model": ["nova-3"],
        "multichannel": ["true"],
        "language": ["en"],
        "smart_format": ["true"],
        "utterances": ["true"],
        "mip_opt_out": ["true"],
    }


async def test_each_file_is_a_request_of_its_own(provider: wire.DeepgramServer) -> None:
    agent, customer = two_files(SHORT)
    answer = await ask(engine_at(provider.url), agent, customer)
    assert [sent.sha256 for sent in provider.received] == [
        hashlib.sha256(file.data).hexdigest() for file in (agent, customer)
    ]
    assert all("multichannel" not in sent.query and "diarize_model" not in sent.query for sent in provider.received)
    assert answer.usage.requests == 2
    assert answer.transcript.model == "general-nova-3 2025-01-09.0"


async def test_voices_on_one_channel_are_told_apart(provider: wire.DeepgramServer) -> None:
    answer = await ask(engine_at(provider.url, diarize_model="v2"), mixed())
    [sent] = provider.received
    assert sent.query["diarize_model"] == ["v2"]
    assert {segment.speaker for segment in answer.transcript.segments} == {"0", "1"}
    assert answer.transcript.speakers_separated
    assert [note.code for note in answer.transcript.notes] == ["roles_unknown"]


async def test_a_mixed_channel_beside_a_speakers_own(provider: wire.DeepgramServer) -> None:
    together = two_channels()
    answer = await ask(engine_at(provider.url), AudioFile(together.data, (AGENT, None)))
    [sent] = provider.received
    assert (sent.query["multichannel"], sent.query["diarize_model"]) == (["true"], ["latest"])
    assert {(s.channel, s.role, s.speaker is None) for s in answer.transcript.segments} == {
        (0, AGENT, True),
        (1, None, False),
    }


@pytest.mark.parametrize(
    ("candidates", "asked"), [((), ["true"]), (("en-GB", "es"), ["en", "es"])], ids=["any", "of two"]
)
async def test_a_language_nobody_knows_is_detected(
    provider: wire.DeepgramServer, candidates: tuple[str, ...], asked: list[str]
) -> None:
    provider.language = "es"
    answer = await ask(engine_at(provider.url), two_channels(), request=TranscriptionRequest(candidates=candidates))
    [sent] = provider.received
    assert "language" not in sent.query
    assert sent.query["detect_language"] == asked
    assert (answer.transcript.language, answer.transcript.language_ground) == ("es", "detected 0.97")
    assert {segment.language for segment in answer.transcript.segments} == {"es"}


@pytest.mark.parametrize(("model", "parameter"), [("nova-3", "keyterm"), ("nova-2", "keywords")])
async def test_vocabulary_goes_by_the_models_own_name_for_it(
    provider: wire.DeepgramServer, model: str, parameter: str
) -> None:
    request = TranscriptionRequest(language="en", vocabulary=("Tidewire", "direct debit"))
    await ask(engine_at(provider.url, model=model), two_channels(SHORT), request=request)
    assert provider.received[0].query[parameter] == ["Tidewire", "direct debit"]


FAULTS: list[tuple[wire.Reply, type[EngineError]]] = [
    (wire.rate_limited(), EngineRateLimited),
    (wire.payment_required(), EngineQuotaExhausted),
    (wire.forbidden(), EngineRejected),
    (wire.bad_audio(), EngineRejected),
    (wire.error(413, "PAYLOAD_TOO_LARGE"), EngineRejected),
    (wire.error(408, "SLOW_UPLOAD"), EngineTimeout),
    (wire.server_error(500), EngineUnavailable),
    (wire.server_error(503), EngineUnavailable),
    (wire.html(502), EngineUnavailable),
    (wire.html(403), EngineRejected),
    (wire.html(200), EngineAnswerMalformed),
    (wire.Reply(302, headers={"Location": "http://127.0.0.1:9/"}), EngineAnswerMalformed),
    (wire.half_json(), EngineAnswerMalformed),
    (wire.Reply(body=b"\xff\xfe\x00"), EngineAnswerMalformed),
    (wire.of_another_shape(["SECRET-WORDS"]), EngineAnswerMalformed),
    (wire.of_another_shape({"request_id": "accepted for a callback"}), EngineAnswerMalformed),
    (wire.of_another_shape({"metadata": {"duration": 4, "channels": 2}, "results": {}}), EngineAnswerMalformed),
    (wire.dropped(), EngineUnavailable),
    (wire.dropped(after=0), EngineUnavailable),
]


@pytest.mark.parametrize(("reply", "error"), FAULTS, ids=lambda value: getattr(value, "__name__", None))
async def test_every_fault_is_an_error_of_ours_asked_once_and_tells_nothing(
    provider: wire.DeepgramServer, reply: wire.Reply, error: type[EngineError], caplog: pytest.LogCaptureFixture
) -> None:
    provider.script.append(reply)
    with caplog.at_level(logging.DEBUG), pytest.raises(EngineError) as failed:
        await ask(engine_at(provider.url), two_channels(SHORT))
    assert type(failed.value) is error
    assert provider.count == 1
    told = f"{failed.value!r} {failed.value.__cause__!r} {caplog.text}"
    assert "SECRET-WORDS" not in told
    assert wire.KEY not in told


@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), ("0.5", 0.5), (None, None), ("soon", None)])
async def test_when_to_ask_again_is_as_the_provider_says(
    provider: wire.DeepgramServer, header: str | None, seconds: float | None
) -> None:
    provider.script.append(wire.rate_limited(header))
    with pytest.raises(EngineRateLimited) as failed:
        await ask(engine_at(provider.url), two_channels(SHORT))
    assert failed.value.retry_after == seconds


async def test_when_to_ask_again_may_be_a_date(provider: wire.DeepgramServer) -> None:
    provider.script.append(wire.rate_limited(format_datetime(utc_now(), usegmt=True)))
    with pytest.raises(EngineRateLimited) as failed:
        await ask(engine_at(provider.url), two_channels(SHORT))
    assert failed.value.retry_after is not None
    assert 0 <= failed.value.retry_after < 5


async def test_a_provider_that_never_answers(provider: wire.DeepgramServer) -> None:
    provider.script.append(wire.HANG)
    with pytest.raises(EngineTimeout):
        await ask(engine_at(provider.url, timeout_seconds=0.5), two_channels(SHORT))
    assert provider.count == 1


async def test_nobody_listens_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refused
        with pytest.raises(EngineUnavailable):
            await ask(engine_at(f"http://127.0.0.1:{taken.getsockname()[1]}"), two_channels(SHORT))


async def test_a_wrong_key_is_refused_and_not_repeated(provider: wire.DeepgramServer) -> None:
    with pytest.raises(EngineRejected, match=r"401 \(INVALID_AUTH\)") as failed:
        await ask(engine_at(provider.url, key="a-key-that-is-wrong"), two_channels(SHORT))
    assert "a-key-that-is-wrong" not in repr(failed.value)


def test_no_key_and_wrong_parameters_are_told_when_the_engine_is_built() -> None:
    with pytest.raises(EngineRejected, match="key"):
        build(config("deepgram", "nova-3"), None)
    with pytest.raises(EngineRejected, match="timeout_seconds"):
        build(config("deepgram", "nova-3", timeout_seconds=-1), SecretStr("key"))


async def test_an_answer_about_other_channels_than_were_sent(provider: wire.DeepgramServer) -> None:
    answer: dict[str, Any] = {
        "metadata": {"duration": 4.0, "channels": 1},
        "results": {"channels": [{"alternatives": []}], "utterances": []},
    }
    provider.script.append(wire.of_another_shape(answer))
    with pytest.raises(EngineAnswerMalformed, match="2 channel"):
        await ask(engine_at(provider.url), two_channels(SHORT))


async def test_times_beyond_the_end_of_the_call_are_cut(provider: wire.DeepgramServer) -> None:
    word = {"word": "hello", "start": 3.5, "end": 9.0, "confidence": 0.9}
    utterance = {**word, "transcript": "hello", "channel": 0, "words": [word]}
    results = {"channels": [{"alternatives": []}], "utterances": [utterance]}
    provider.script.append(wire.of_another_shape({"metadata": {"duration": 4.0, "channels": 1}, "results": results}))
    agent, _ = two_files(SHORT)
    [segment] = (await ask(engine_at(provider.url), agent)).transcript.segments
    assert (segment.start_ms, segment.end_ms, segment.words[0].end_ms) == (3_500, 4_000, 4_000)


async def test_the_server_listens_to_what_it_is_sent(provider: wire.DeepgramServer) -> None:
    """The server of these tests itself: no sound, no words; not audio, a 400."""
    import httpx
    import numpy as np

    address, headers = f"{provider.url}/v1/listen?utterances=true", {"Authorization": f"Token {wire.KEY}"}
    async with httpx.AsyncClient() as client:
        quiet = await client.post(address, headers=headers, content=wav_of(np.zeros(16_000, np.int16)))
        broken = await client.post(address, headers=headers, content=b"PK\x03\x04")
    assert quiet.json()["results"]["utterances"] == []
    assert quiet.json()["metadata"]["duration"] == 1.0
    assert broken.status_code == 400
    assert provider.count == 2
    assert sum(provider.count_by_audio.values()) == 2
