"""Audio that is handed in before its conversation: promised, sent, checked, sealed. Never held in memory as a whole."""

import base64
import hashlib
import hmac
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from domain.clock import Clock, utc_now
from domain.errors import Forbidden, InvalidInput, TooLarge, Unauthenticated
from domain.ids import new_id
from engines.audio.sniff import SNIFF_BYTES, Container, require_audio
from services import content_keys
from storage.protocols import ContentStore, Database, Upload

TOKEN_LIFETIME = timedelta(hours=1)

MEDIA_TYPES = {
    Container.WAV: "audio/wav",
    Container.FLAC: "audio/flac",
    Container.MP3: "audio/mpeg",
    Container.MP4: "audio/mp4",
    Container.OGG: "audio/ogg",
    Container.ADTS: "audio/aac",
}

UNKNOWN_MEDIA = "application/octet-stream"
"""Media type of an upload until its first bytes have been seen."""


@dataclass(frozen=True)
class OpenedUpload:
    """A promise: whoever has the token may send the bytes until it expires."""

    upload: Upload
    token: str
    expires_at: datetime


class UploadTokens:
    """Signed permission to send the bytes of one upload, for callers without an API key at hand."""

    def __init__(self, key: bytes) -> None:
        self._key = hashlib.sha256(b"parley upload tokens\x00" + key).digest()

    def issue(self, tenant_id: str, upload_id: str, expires_at: datetime) -> str:
        return self._signed(f"{tenant_id}.{upload_id}.{int(expires_at.timestamp())}".encode())

    def tenant_of(self, token: str, upload_id: str) -> str:
        """The tenant whose upload this is. Raises Unauthenticated (forged), Forbidden (expired, or another upload)."""
        try:
            said = _bytes(token.partition(".")[0])
        except ValueError:
            raise Unauthenticated("the upload token is not valid") from None
        if not hmac.compare_digest(self._signed(said).encode(), token.encode()):
            raise Unauthenticated("the upload token is not valid")
        tenant_id, for_upload, expires = said.decode().split(".")
        if for_upload != upload_id:
            raise Forbidden("the upload token is for another upload")
        if int(expires) < time.time():
            raise Forbidden("the upload token has expired: open a new upload")
        return tenant_id

    def _signed(self, payload: bytes) -> str:
        return f"{_text(payload)}.{_text(hmac.digest(self._key, payload, 'sha256'))}"


class Uploads:
    """Needs the database, the content store and a signing key. `max_bytes` bounds one file."""

    def __init__(
        self,
        database: Database,
        content: ContentStore,
        tokens: UploadTokens,
        *,
        max_bytes: int,
        clock: Clock = utc_now,
    ) -> None:
        self._database = database
        self._content = content
        self._tokens = tokens
        self._max_bytes = max_bytes
        self._clock = clock

    @property
    def max_bytes(self) -> int:
        return self._max_bytes

    async def open(self, tenant_id: str, *, size: int, sha256: str) -> OpenedUpload:
        """Promise `size` bytes with this SHA-256 (hex). Raises TooLarge, InvalidInput."""
        if size < 1:
            raise InvalidInput.of("size", "is at least 1 byte")
        if size > self._max_bytes:
            raise TooLarge.of("size", f"is at most {self._max_bytes} bytes")
        upload = self._new(tenant_id, size, sha256)
        async with self._database.tenant_tx(tenant_id) as tx:
            await tx.uploads.open(upload)
        expires_at = (self._clock() + TOKEN_LIFETIME).astimezone(UTC)
        return OpenedUpload(upload, self._tokens.issue(tenant_id, upload.id, expires_at), expires_at)

    async def get(self, tenant_id: str, upload_id: str) -> Upload:
        """Raises NotFound."""
        async with self._database.tenant_tx(tenant_id) as tx:
            return await tx.uploads.get(upload_id)

    def tenant_of(self, token: str, upload_id: str) -> str:
        """Raises Unauthenticated, Forbidden."""
        return self._tokens.tenant_of(token, upload_id)

    async def receive(
        self, tenant_id: str, upload_id: str, chunks: AsyncIterator[bytes], *, content_length: int | None = None
    ) -> Upload:
        """Take the promised bytes. Sending the same bytes again is harmless.

        Raises NotFound, UnsupportedMedia (not audio; says what it is), TooLarge and InvalidInput (not what was
        promised). Whatever is raised, nothing is left behind.
        """
        upload = await self.get(tenant_id, upload_id)
        assert upload.sha256 is not None
        if content_length is not None and content_length != upload.size:
            _refuse_size(content_length, upload.size)
        promised = _Promised(chunks, upload.size, upload.sha256)
        if upload.state == "stored":
            async for _ in promised.bytes():
                pass
            return upload
        head, whole = await _with_head(promised.bytes())
        media_type = MEDIA_TYPES[require_audio(head, "body")]
        await self._content.put_stream(tenant_id, upload.content_key, whole, limit=upload.size)
        async with self._database.tenant_tx(tenant_id) as tx:
            await tx.uploads.stored(upload_id, size=upload.size, sha256=upload.sha256, media_type=media_type)
            return await tx.uploads.get(upload_id)

    async def store(self, tenant_id: str, chunks: AsyncIterator[bytes], *, field: str) -> Upload:
        """Take bytes that come unannounced, inside another request; `field` names them in errors.

        The upload has no row until `register`. Raises UnsupportedMedia, TooLarge.
        """
        head, whole = await _with_head(chunks)
        media_type = MEDIA_TYPES[require_audio(head, field)]
        upload = self._new(tenant_id, 0, None)
        try:
            size, sha256 = await self._content.put_stream(tenant_id, upload.content_key, whole, limit=self._max_bytes)
        except TooLarge:
            raise TooLarge.of(field, f"is at most {self._max_bytes} bytes") from None
        return upload.model_copy(update={"size": size, "sha256": sha256, "media_type": media_type, "state": "stored"})

    async def register(self, tenant_id: str, uploads: Sequence[Upload]) -> None:
        """Give stored bytes their rows, all or none."""
        async with self._database.tenant_tx(tenant_id) as tx:
            for upload in uploads:
                await tx.uploads.open(upload)

    async def discard(self, tenant_id: str, uploads: Sequence[Upload]) -> None:
        """Remove bytes and rows that nobody refers to."""
        async with self._database.tenant_tx(tenant_id) as tx:
            for upload in uploads:
                await tx.uploads.remove(upload.id)
        for upload in uploads:
            await self._content.delete(tenant_id, upload.content_key)

    def _new(self, tenant_id: str, size: int, sha256: str | None) -> Upload:
        upload_id = new_id()
        return Upload(
            id=upload_id,
            size=size,
            sha256=sha256,
            media_type=UNKNOWN_MEDIA,
            state="open",
            content_key=content_keys.upload(tenant_id, upload_id),
            created_at=self._clock(),
        )


class StoredAudio(Mapping[str, Upload]):
    """Audio files that came by name inside one request: registered together, or gone together."""

    def __init__(self, uploads: Uploads, tenant_id: str) -> None:
        self._uploads = uploads
        self._tenant_id = tenant_id
        self._stored: dict[str, Upload] = {}

    def __getitem__(self, name: str) -> Upload:
        return self._stored[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._stored)

    def __len__(self) -> int:
        return len(self._stored)

    async def add(self, name: str, chunks: AsyncIterator[bytes]) -> None:
        """Raises UnsupportedMedia, TooLarge."""
        self._stored[name] = await self._uploads.store(self._tenant_id, chunks, field=name)

    async def register(self) -> None:
        await self._uploads.register(self._tenant_id, tuple(self._stored.values()))

    async def discard(self) -> None:
        """Also when some were registered."""
        if self._stored:
            await self._uploads.discard(self._tenant_id, tuple(self._stored.values()))
            self._stored.clear()


class _Promised:
    """Passes bytes on and raises before the end when they are not what was promised, so that nothing is kept."""

    def __init__(self, chunks: AsyncIterator[bytes], size: int, sha256: str) -> None:
        self._chunks = chunks
        self._size = size
        self._sha256 = sha256

    async def bytes(self) -> AsyncIterator[bytes]:
        seen, digest = 0, hashlib.sha256()
        async for chunk in self._chunks:
            seen += len(chunk)
            if seen > self._size:
                _refuse_size(seen, self._size)
            digest.update(chunk)
            yield chunk
        if seen < self._size:
            raise InvalidInput.of("body", f"ended after {seen} of the {self._size} bytes that were announced")
        if digest.hexdigest() != self._sha256:
            raise InvalidInput.of("body", "does not have the SHA-256 that was announced")


def _refuse_size(sent: int, promised: int) -> None:
    error: Callable[[str, str], InvalidInput] = TooLarge.of if sent > promised else InvalidInput.of
    raise error("body", f"has another size than the {promised} bytes that were announced")


async def _with_head(chunks: AsyncIterator[bytes]) -> tuple[bytes, AsyncIterator[bytes]]:
    """The first bytes, and an iterator over all of them."""
    head = bytearray()
    async for chunk in chunks:
        head += chunk
        if len(head) >= SNIFF_BYTES:
            break

    async def whole() -> AsyncIterator[bytes]:
        yield bytes(head)
        async for chunk in chunks:
            yield chunk

    return bytes(head[:SNIFF_BYTES]), whole()


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    if not text.isascii():
        raise ValueError("not base64")
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
