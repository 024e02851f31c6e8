"""OpenAI's audio transcription endpoint as it stands on the wire. It listens to what it is sent: words are where there
is sound, so times, silence and the length are those of the request."""

from __future__ import annotations

from dataclasses import dataclass
from email import message_from_bytes
from email.policy import HTTP
from typing import Any

from tests.support.deepgram_server import sounding, utterance_of
from tests.support.wire_server import Received, Reply, as_json

PAUSE_SECONDS = 0.8


@dataclass(frozen=True)
class Sent:
    """A multipart request: its fields by name, and the file."""

    fields: dict[str, list[str]]
    file: bytes


def sent(received: Received) -> Sent:
    head = f"Content-Type: {received.headers['content-type']}\r\n\r\n".encode()
    fields: dict[str, list[str]] = {}
    file = b""
    message: Any = message_from_bytes(head + received.raw, policy=HTTP)
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        content: bytes = part.get_payload(decode=True)
        if part.get_filename() is not None:
            file = content
        else:
            fields.setdefault(name, []).append(content.decode())
    return Sent(fields, file)


def hears(received: Received) -> Reply:
    """What a server of a Whisper model answers: verbose with segments and words, or the text alone."""
    asked = sent(received)
    [channel], seconds = sounding(asked.file, PAUSE_SECONDS)
    spoken = [utterance_of(number, sound, 0, None) for number, sound in enumerate(channel)]
    text = " ".join(one["transcript"] for one in spoken)
    if asked.fields["response_format"] == ["json"]:
        return as_json({"text": text})
    body: dict[str, Any] = {
        "task": "transcribe",
        "language": asked.fields.get("language", ["english"])[0],
        "duration": seconds,
        "text": text,
        "segments": [
            {
                "id": number,
                "seek": 0,
                "start": one["start"],
                "end": one["end"],
                "text": f" {one['transcript']}",
                "tokens": [1],
                "temperature": 0.0,
                "avg_logprob": -0.2,
                "compression_ratio": 1.1,
                "no_speech_prob": 0.01,
            }
            for number, one in enumerate(spoken)
        ],
    }
    if "word" in asked.fields.get("timestamp_granularities[]", ()):
        words = [word for one in spoken for word in one["words"]]
        body["words"] = [{"word": w["punctuated_word"], "start": w["start"], "end": w["end"]} for w in words]
    return as_json(body)
