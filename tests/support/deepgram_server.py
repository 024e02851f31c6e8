"""A local server that speaks Deepgram's pre-recorded wire format (`POST /v1/listen`) and fails when it is told to.

It listens to what it is sent: it decodes the audio and answers with words where there is sound, so channels, times,
silence and the length are those of the request. Every request is counted and kept: what was asked, with which key, of
which bytes, is judged at the provider's side of the wire.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import NAMESPACE_URL, uuid5

import av
import numpy as np

KEY = "dg-test-key-1f0c"
MODEL = {"name": "general-nova-3", "version": "2025-01-09.0", "arch": "nova-3"}
WORDS = ("hello", "this", "is", "about", "my", "last", "bill", "i", "would", "like", "it", "looked", "at", "again")

_WORD_SECONDS = 0.25
_PAUSE_SECONDS = 0.8  # Deepgram's own default for telling utterances apart
_CHANGE_SECONDS = 0.3  # the pause that counts as a change of voice, where voices are told apart
_LOUD = 0.02


@dataclass(frozen=True)
class Received:
    """query: every value of every parameter. authorization: the header as it came."""

    query: dict[str, list[str]]
    authorization: str | None
    content_type: str | None
    sha256: str
    size: int


@dataclass(frozen=True)
class Reply:
    """One scripted answer. cut: send only this many bytes and drop the connection. hang: never answer."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    hang: bool = False


def error(status: int, code: str, message: str = "about SECRET-WORDS", **headers: str) -> Reply:
    """Deepgram's error document. Its message repeats the request, as real ones sometimes do."""
    body = {"err_code": code, "err_msg": message, "request_id": str(uuid5(NAMESPACE_URL, code))}
    return Reply(status, json.dumps(body).encode(), headers={k.replace("_", "-"): v for k, v in headers.items()})


def rate_limited(retry_after: str | None = "7") -> Reply:
    return error(429, "TOO_MANY_REQUESTS", **({"Retry_After": retry_after} if retry_after else {}))


def payment_required() -> Reply:
    return error(402, "ASR_PAYMENT_REQUIRED")


def forbidden() -> Reply:
    return error(403, "INSUFFICIENT_PERMISSIONS")


def bad_audio() -> Reply:
    return error(400, "Bad Request")


def server_error(status: int = 500) -> Reply:
    return error(status, "INTERNAL_SERVER_ERROR")


def html(status: int = 200) -> Reply:
    return Reply(status, b"<!doctype html><h1>Sign in to the hotel's network</h1>", "text/html")


def half_json() -> Reply:
    return Reply(body=b'{"metadata": {"request_id": "5f1c", "duration": 12.5, "channels": 1}, "results": {"chan')


def of_another_shape(body: Any) -> Reply:
    return Reply(body=json.dumps(body).encode())


def dropped(after: int = 20) -> Reply:
    return Reply(body=b'{"metadata": {"request_id": "5f1c"}}' * 10, cut=after)


HANG = Reply(hang=True)


@dataclass
class DeepgramServer:
    """`script` holds the next replies; when it is empty, the audio is listened to. `key` is what is accepted."""

    url: str = ""
    key: str = KEY
    script: deque[Reply] = field(default_factory=deque)
    received: list[Received] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)
    language: str = "en"

    @property
    def count(self) -> int:
        return len(self.received)

    @property
    def count_by_audio(self) -> Counter[str]:
        """Requests by the SHA-256 of what was sent."""
        return Counter(one.sha256 for one in self.received)

    def reply_to(self, received: Received, body: bytes) -> Reply:
        if received.authorization != f"Token {self.key}":
            return error(401, "INVALID_AUTH", "Invalid credentials.")
        if self.script:
            return self.script.popleft()
        try:
            channels, seconds = sounding(body, _CHANGE_SECONDS if _diarized(received) else _PAUSE_SECONDS)
        except (av.FFmpegError, IndexError):
            return bad_audio()
        return _json(_answer(received, channels, seconds, self.language))


@contextmanager
def deepgram_server() -> Iterator[DeepgramServer]:
    """The server on a free port of this machine; requests that hang are let go when it ends."""
    state = DeepgramServer()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(state))
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        state.released.set()
        server.shutdown()
        server.server_close()
        thread.join(5)


Sound = tuple[float, float]
"""Start and end in seconds."""


def _diarized(received: Received) -> bool:
    return "diarize_model" in received.query or received.query.get("diarize") == ["true"]


def sounding(data: bytes, pause: float) -> tuple[list[list[Sound]], float]:
    """Where each channel sounds, and the length in seconds."""
    with av.open(BytesIO(data), mode="r") as source:
        assert isinstance(source, av.container.InputContainer)
        stream = source.streams.audio[0]
        rate, count = stream.rate, stream.channels
        to_floats = av.AudioResampler(format="fltp", rate=rate)
        blocks = [block.to_ndarray() for frame in source.decode(stream) for block in to_floats.resample(frame)]
    samples = np.concatenate(blocks, axis=1)
    assert len(samples) == count
    step = rate // 20
    return [_sounds(channel, step, rate, pause) for channel in samples], samples.shape[1] / rate


def _sounds(channel: Any, step: int, rate: int, pause: float) -> list[Sound]:
    sounds: list[Sound] = []
    for at in range(0, len(channel) - step + 1, step):
        if float(np.abs(channel[at : at + step]).mean()) < _LOUD:
            continue
        start, end = at / rate, (at + step) / rate
        if sounds and start - sounds[-1][1] < pause:
            sounds[-1] = (sounds[-1][0], end)
        else:
            sounds.append((start, end))
    return sounds


def _answer(received: Received, channels: list[list[Sound]], seconds: float, language: str) -> dict[str, Any]:
    asked = received.query
    separate = asked.get("multichannel") == ["true"]
    if not separate:
        channels = [sorted(sound for channel in channels for sound in channel)]
    diarized = _diarized(received)
    utterances = [
        utterance_of(number, sound, channel, number % 2 if diarized else None)
        for channel, sounds in enumerate(channels)
        for number, sound in enumerate(sounds)
    ]
    results: dict[str, Any] = {
        "channels": [
            _channel([u for u in utterances if u["channel"] == channel], asked, language)
            for channel in range(len(channels))
        ]
    }
    if asked.get("utterances") == ["true"]:
        results["utterances"] = sorted(utterances, key=lambda u: (u["start"], u["channel"]))
    model = str(uuid5(NAMESPACE_URL, "model"))
    return {
        "metadata": {
            "transaction_key": "deprecated",
            "request_id": str(uuid5(NAMESPACE_URL, received.sha256)),
            "sha256": received.sha256,
            "created": "2025-01-09T12:00:00.000Z",
            "duration": seconds,
            "channels": len(channels),
            "models": [model],
            "model_info": {model: MODEL},
        },
        "results": results,
    }


def _channel(utterances: list[dict[str, Any]], asked: dict[str, list[str]], language: str) -> dict[str, Any]:
    words = [word for utterance in utterances for word in utterance["words"]]
    transcript = " ".join(utterance["transcript"] for utterance in utterances)
    confidence = sum(word["confidence"] for word in words) / len(words) if words else 0.0
    channel: dict[str, Any] = {"alternatives": [{"transcript": transcript, "confidence": confidence, "words": words}]}
    if asked.get("detect_language", ["false"]) != ["false"]:
        channel |= {"detected_language": language, "language_confidence": 0.97}
    return channel


def utterance_of(number: int, sound: Sound, channel: int, speaker: int | None) -> dict[str, Any]:
    start, end = sound
    count = max(1, round((end - start) / _WORD_SECONDS))
    length = (end - start) / count
    words = []
    for position in range(count):
        word = WORDS[position % len(WORDS)]
        begin = start + position * length
        shown = word.capitalize() if position == 0 else word
        entry: dict[str, Any] = {"word": word, "start": begin, "end": begin + length, "confidence": 0.93}
        if speaker is not None:
            entry |= {"speaker": speaker, "speaker_confidence": 0.71}
        words.append(entry | {"punctuated_word": shown + ("." if position == count - 1 else "")})
    utterance: dict[str, Any] = {
        "start": start,
        "end": end,
        "confidence": 0.93,
        "channel": channel,
        "transcript": " ".join(word["punctuated_word"] for word in words),
        "words": words,
        "id": str(uuid5(NAMESPACE_URL, f"{channel}/{number}")),
    }
    return utterance if speaker is None else utterance | {"speaker": speaker}


def _json(body: dict[str, Any]) -> Reply:
    return Reply(body=json.dumps(body).encode())


def _handler(state: DeepgramServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            address = urlsplit(self.path)
            received = Received(
                parse_qs(address.query, keep_blank_values=True),
                self.headers.get("Authorization"),
                self.headers.get("Content-Type"),
                hashlib.sha256(body).hexdigest(),
                len(body),
            )
            state.received.append(received)
            found = address.path == "/v1/listen"
            self._send(state.reply_to(received, body) if found else error(404, "NOT_FOUND"))

        def _send(self, reply: Reply) -> None:
            if reply.hang:
                state.released.wait(60)
                self.close_connection = True
                return
            self.send_response(reply.status)
            for name, value in {"Content-Type": reply.content_type, **reply.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body[: reply.cut])
            if reply.cut is not None:
                self.wfile.flush()
                self.close_connection = True
                self.connection.close()

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    return Handler
