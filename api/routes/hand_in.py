"""Handing in a conversation with its audio in one request.

The part `conversation` is the JSON body of `POST /v1/conversations`; every other part is an audio file. The entries of
`audio` name their file as `{"part": "name"}`. Without `audio` every file is taken in order, and a part called agent,
customer or bot says who speaks on it.
"""

import hashlib
from contextlib import aclosing

from fastapi import Request

from api.body import collect
from api.multipart import parts
from domain.errors import InvalidInput
from domain.intake import MAX_AUDIO_FILES, ConversationIn
from domain.strict_json import MalformedBody, parse_json, validate
from services.facade import ApiServices
from services.uploads import StoredAudio

CONVERSATION_PART = "conversation"

_SPEAKERS = ("agent", "customer", "bot")


class HandIn:
    """What came in one multipart request: the checked conversation, and its audio, stored but not registered yet."""

    def __init__(self, intake: ConversationIn, audio: StoredAudio, raw: bytes) -> None:
        self.intake = intake
        self.audio = audio
        self.raw = raw

    @property
    def content(self) -> bytes:
        """What makes the request the same: boundaries and ids differ each time, these do not."""
        files = "\n".join(f"{name} {upload.sha256}" for name, upload in self.audio.items())
        return hashlib.sha256(self.raw).digest() + files.encode()


async def read_hand_in(request: Request, services: ApiServices, tenant_id: str) -> HandIn:
    """Raises what reading and checking raise; then nothing is left in the content store."""
    audio = StoredAudio(services.uploads, tenant_id)
    try:
        raw = await _read_parts(request, services, audio)
        intake = validate(ConversationIn, _with_uploads(parse_json(raw), audio))
    except BaseException:
        await audio.discard()
        raise
    return HandIn(intake, audio, raw)


async def _read_parts(request: Request, services: ApiServices, audio: StoredAudio) -> bytes:
    raw: bytes | None = None
    async with aclosing(parts(request)) as found:
        async for part in found:
            if part.name == CONVERSATION_PART and raw is None:
                raw = await collect(part.data, services.caps.max_body_bytes, CONVERSATION_PART)
                continue
            if part.name in audio or part.name == CONVERSATION_PART:
                raise MalformedBody.of(part.name, "comes twice")
            if len(audio) == MAX_AUDIO_FILES:
                raise InvalidInput.of("audio", f"at most {MAX_AUDIO_FILES} files")
            await audio.add(part.name, part.data)
    if raw is None:
        raise InvalidInput.of(CONVERSATION_PART, "this part is missing")
    return raw


def _with_uploads(body: object, audio: StoredAudio) -> object:
    """The body with each part's name replaced by the id of what was stored."""
    if not isinstance(body, dict):
        return body  # refused by the model, in its own words
    named = body.get("audio")
    if named is None and len(audio):
        entries = [_entry(name) for name in audio]
        return {**body, "audio": [_resolved(entry, audio, position) for position, entry in enumerate(entries)]}
    if not isinstance(named, list):
        return body
    resolved = [_resolved(entry, audio, position) for position, entry in enumerate(named)]
    used = {entry.get("part") for entry in named if isinstance(entry, dict)}
    unused = [name for name in audio if name not in used]
    if unused:
        raise InvalidInput.of(unused[0], "is not named by any entry of audio")
    return {**body, "audio": resolved}


def _entry(name: str) -> dict[str, object]:
    return {"part": name, "role": name} if name in _SPEAKERS else {"part": name}


def _resolved(entry: object, audio: StoredAudio, position: int) -> object:
    if not isinstance(entry, dict) or "part" not in entry:
        return entry
    name = entry["part"]
    if not isinstance(name, str) or name not in audio:
        raise InvalidInput.of(f"audio[{position}].part", "no part of the request has this name")
    return {**{key: value for key, value in entry.items() if key != "part"}, "id": audio[name].id}
