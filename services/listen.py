"""Listening to a call: its files out of the sealed store, a stretch at a time, and every look written down.

Audio is an original: who may hear it is for the caller to see to, with `Permission.ORIGINALS`.
"""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

from domain.contracts import RunRef
from domain.conversation import Channel, Conversation
from domain.errors import ContentMissing, NotFound
from domain.intake import AudioIn, ConversationIn
from engines.audio.sniff import SNIFF_BYTES, sniff
from services import content_keys
from services.briefly import Briefly
from services.uploads import MEDIA_TYPES, UNKNOWN_MEDIA
from storage.protocols import ContentStore, Database

LOOK_SECONDS = 600.0
"""Requests of one listener for one file within this time are one look: a player asks for many stretches."""

_RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})")


class RangeNotSatisfiable(NotFound):
    """The file ends before the stretch that was asked for begins. `size`: of the file."""

    code = "range_not_satisfiable"
    title = "There is no such part"

    def __init__(self, size: int) -> None:
        super().__init__(f"the file has {size} bytes")
        self.size = size


@dataclass(frozen=True)
class CallFile:
    """One file of a call. number: 1, 2, 3 … speakers: who is heard. offset_ms: where it begins in the call."""

    number: int
    speakers: str
    offset_ms: int


@dataclass(frozen=True)
class Stretch:
    """Bytes from `start` up to and with `end` of a file of `size` bytes. whole: all of it was asked for."""

    media_type: str
    size: int
    start: int
    end: int
    whole: bool
    chunks: AsyncIterator[bytes]


@dataclass(frozen=True)
class _Facts:
    media_type: str
    size: int


class ListenToCall:
    """Needs the database and the content store."""

    def __init__(self, database: Database, content: ContentStore, *, look_seconds: float = LOOK_SECONDS) -> None:
        self._database = database
        self._content = content
        self._looks: Briefly[tuple[str, str, str, int], None] = Briefly(look_seconds)
        self._facts: Briefly[str, _Facts] = Briefly(look_seconds, size=1_000)

    async def files(self, conversation: Conversation) -> tuple[CallFile, ...]:
        """None for what is no call, was handed in as a transcript, or is no longer there. Raises Unavailable."""
        try:
            audio = await self._audio(conversation)
        except ContentMissing:
            return ()
        return tuple(CallFile(n, _speakers(item), item.offset_ms) for n, item in enumerate(audio, start=1))

    async def stretch(
        self,
        tenant_id: str,
        conversation_id: str,
        number: int,
        wanted: str | None,
        *,
        listener: str,
        actor: str,
        origin: str | None,
    ) -> Stretch:
        """A stretch of a file, as a Range header asks for it; without one, all of it.

        listener: whose requests count as one look. It is on the audit trail before a byte is read. Raises NotFound,
        ContentMissing, RangeNotSatisfiable, ContentDamaged, Unavailable.
        """
        async with self._database.tenant_tx(tenant_id) as tx:
            conversation = await tx.conversations.get(conversation_id)
        audio = await self._audio(conversation)
        if not 1 <= number <= len(audio):
            raise NotFound("the call has no such file")
        await self._looks.get(
            (tenant_id, listener, conversation_id, number),
            lambda: self._record(conversation, number, actor, origin),
        )
        key = _key(conversation, number - 1, audio[number - 1])
        facts = await self._facts.get(key, lambda: self._measured(conversation, audio[number - 1], key))
        start, end, whole = _ends(wanted, facts.size)
        chunks = _between(self._content.get_stream(tenant_id, key), start, end)
        return Stretch(facts.media_type, facts.size, start, end, whole, chunks)

    async def _audio(self, conversation: Conversation) -> tuple[AudioIn, ...]:
        if conversation.channel is not Channel.CALL or conversation.content_key is None:
            return ()
        body = await self._content.get(conversation.tenant_id, conversation.content_key)
        return ConversationIn.model_validate_json(body).audio or ()

    async def _record(self, conversation: Conversation, number: int, actor: str, origin: str | None) -> None:
        async with self._database.tenant_tx(conversation.tenant_id) as tx:
            await tx.audit.record(
                actor=actor,
                action="conversation.audio.listen",
                subject=conversation.id,
                origin=origin,
                after={"revision": conversation.revision, "file": number},
            )

    async def _measured(self, conversation: Conversation, item: AudioIn, key: str) -> _Facts:
        if item.id is not None:
            async with self._database.tenant_tx(conversation.tenant_id) as tx:
                upload = await tx.uploads.get(item.id)
            return _Facts(upload.media_type, upload.size)
        # What was pulled from an address has no row: it is read once to know how long it is.
        head, size = b"", 0
        async for chunk in self._content.get_stream(conversation.tenant_id, key):
            head = head or chunk[:SNIFF_BYTES]
            size += len(chunk)
        container = sniff(head)
        return _Facts(MEDIA_TYPES[container] if container else UNKNOWN_MEDIA, size)


def _key(conversation: Conversation, position: int, item: AudioIn) -> str:
    if item.id is not None:
        return content_keys.upload(conversation.tenant_id, item.id)
    run = RunRef(
        tenant_id=conversation.tenant_id,
        conversation_id=conversation.id,
        revision=conversation.revision,
        entry=1,
    )
    return content_keys.pulled_audio(run, position)


def _speakers(item: AudioIn) -> str:
    if item.role is not None:
        return item.role.value
    return "everybody" if not item.channels or item.channels == ("mixed",) else " and ".join(item.channels)


def _ends(wanted: str | None, size: int) -> tuple[int, int, bool]:
    """(first byte, last byte, whether that is everything). What is no single range is ignored, as RFC 9110 has it.

    Raises RangeNotSatisfiable.
    """
    match = _RANGE.fullmatch(wanted.strip()) if wanted else None
    if match is None or not (match[1] or match[2]):
        return 0, size - 1, True
    if not match[1]:
        if int(match[2]) == 0 or size == 0:
            raise RangeNotSatisfiable(size)
        return max(0, size - int(match[2])), size - 1, False
    start, end = int(match[1]), min(int(match[2]) if match[2] else size - 1, size - 1)
    if start >= size:
        raise RangeNotSatisfiable(size)
    return (start, end, False) if start <= end else (0, size - 1, True)


async def _between(chunks: AsyncIterator[bytes], start: int, end: int) -> AsyncIterator[bytes]:
    position = 0
    async for chunk in chunks:
        low, high = max(start - position, 0), min(end + 1 - position, len(chunk))
        if low < high:
            yield chunk[low:high]
        position += len(chunk)
        if position > end:
            return
