"""The content store over obstore: a local folder, S3, GCS or Azure, by URL."""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, from_url

from domain.errors import ContentDamaged, ContentMissing, InvalidInput, TooLarge, Unavailable
from domain.ids import is_tenant_id
from storage.content.sealing import (
    FRAME_BYTES,
    HEADER_BYTES,
    FrameReader,
    Opener,
    Sealer,
    is_worth_compressing,
    key_version,
    open_all,
    seal_all,
)
from storage.crypto import DataKey, DataKeys

if TYPE_CHECKING:
    from obstore.store import ClientConfig, ObjectStore, RetryConfig

P = ParamSpec("P")
T = TypeVar("T")

_SEGMENT = r"[A-Za-z0-9_-][A-Za-z0-9._-]*"
_KEY = re.compile(rf"[0-9a-f]{{32}}(/{_SEGMENT})+")
_MAX_KEY = 512
_MARKER = "parley-content-store"
_THREAD_BYTES = 256 * 1024
"""From here on sealing would hold up the event loop for more than a millisecond."""

_PARTS_AT_ONCE = 2
_REQUEST: "ClientConfig" = {"timeout": timedelta(seconds=30), "connect_timeout": timedelta(seconds=5)}
# Two quick tries absorb a single dropped connection in a long upload; real outages are for the caller's retries.
_RETRIES: "RetryConfig" = {"max_retries": 2, "retry_timeout": timedelta(seconds=20)}


def open_content_store(url: str, keys: DataKeys, *, timeout_seconds: float = 60.0) -> "SealedContentStore":
    """`file:///folder` (made when missing), `s3://bucket/prefix`, `gs://…`, `az://…`.

    Credentials of buckets come from the environment, as their own tools read them. `timeout_seconds` bounds one
    operation, but for a streamed upload, which takes as long as its sender.

    Raises:
        InvalidInput: the URL is not one of these.
        Unavailable: the folder cannot be made or written.
    """
    parts = urlsplit(url)
    if parts.scheme == "file":
        return SealedContentStore(*_local(Path(unquote(parts.path))), keys, timeout_seconds)
    if parts.scheme not in ("s3", "s3a", "gs", "az", "azure", "abfs", "abfss"):
        raise InvalidInput.of("content_url", "give file:///folder, s3://, gs:// or az://")
    try:
        store = from_url(url, client_options=_REQUEST, retry_config=_RETRIES)
    except (BaseError, ValueError):
        raise InvalidInput.of("content_url", "is not the address of a bucket") from None
    return SealedContentStore(store, None, keys, timeout_seconds)


def _local(folder: Path) -> tuple[LocalStore, Path]:
    if not folder.is_absolute() or folder == Path("/"):
        raise InvalidInput.of("content_url", "the folder needs an absolute path")
    marker = folder / _MARKER
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        marker.touch()
        return LocalStore(folder), marker
    except (OSError, BaseError):
        raise Unavailable("the content folder cannot be made or written") from None


class SealedContentStore:
    """See `storage.protocols.ContentStore`. Writes are atomic: a reader sees all of a content or none."""

    def __init__(self, store: "ObjectStore", marker: Path | None, keys: DataKeys, timeout_seconds: float) -> None:
        self._store = store
        self._marker = marker
        self._keys = keys
        self._timeout = timeout_seconds

    async def put(self, tenant_id: str, key: str, data: bytes) -> None:
        """Raises Unavailable."""
        _check(tenant_id, key)
        data_key = await self._keys.current(tenant_id)
        blob = await _off_loop(len(data), seal_all, data_key, key, data)
        self._require_folder()
        with _store_errors():
            async with asyncio.timeout(self._timeout):
                await obstore.put_async(self._store, key, blob, max_concurrency=_PARTS_AT_ONCE)

    async def put_stream(
        self, tenant_id: str, key: str, chunks: AsyncIterator[bytes], *, limit: int
    ) -> tuple[int, str]:
        """Holds some 20 MiB in memory, whatever the size. What `chunks` raises comes out as it is."""
        _check(tenant_id, key)
        source = _Metered(chunks, limit)
        data_key = await self._keys.current(tenant_id)
        self._require_folder()
        try:
            with _store_errors():
                await obstore.put_async(
                    self._store, key, _sealed(data_key, key, source), max_concurrency=_PARTS_AT_ONCE
                )
        except Exception:
            if source.failure is not None:
                raise source.failure from None
            raise
        return source.size, source.digest.hexdigest()

    async def get(self, tenant_id: str, key: str) -> bytes:
        """Raises ContentMissing, ContentDamaged, Unavailable."""
        _check(tenant_id, key)
        self._require_folder()
        with _store_errors():
            async with asyncio.timeout(self._timeout):
                found = await obstore.get_async(self._store, key)
                blob = bytes(await found.bytes_async())
        data_key = await self._key_of(tenant_id, blob[:HEADER_BYTES])
        return await _off_loop(len(blob), open_all, data_key, key, blob)

    async def get_stream(self, tenant_id: str, key: str) -> AsyncIterator[bytes]:
        """Pieces of up to 1 MiB. Raises like `get`; damage may show only after some pieces have come."""
        _check(tenant_id, key)
        self._require_folder()
        buffer, opener, reader = b"", None, FrameReader()
        async for piece in self._pieces(key):
            buffer += piece
            if opener is None:
                if len(buffer) < HEADER_BYTES:
                    continue
                header, buffer = buffer[:HEADER_BYTES], buffer[HEADER_BYTES:]
                opener = Opener(await self._key_of(tenant_id, header), key, header)
            for sealed, last in reader.feed(buffer):
                yield await asyncio.to_thread(opener.open, sealed, last=last)
            buffer = b""
        reader.finish()

    async def delete(self, tenant_id: str, key: str) -> None:
        """What is not there is deleted already. Raises Unavailable."""
        _check(tenant_id, key)
        self._require_folder()
        try:
            with _store_errors():
                async with asyncio.timeout(self._timeout):
                    await obstore.delete_async(self._store, key)
        except ContentMissing:
            return

    async def ping(self) -> None:
        """Raises Unavailable."""
        self._require_folder()
        try:
            with _store_errors():
                async with asyncio.timeout(min(5.0, self._timeout)):
                    await obstore.head_async(self._store, _MARKER)
        except ContentMissing:
            return  # a bucket that answers

    async def _pieces(self, key: str) -> AsyncIterator[bytes]:
        with _store_errors():
            async with asyncio.timeout(self._timeout):
                found = await obstore.get_async(self._store, key)
            stream = found.stream(min_chunk_size=FRAME_BYTES).__aiter__()
            while True:
                try:
                    async with asyncio.timeout(self._timeout):
                        piece = await stream.__anext__()
                except StopAsyncIteration:
                    return
                yield bytes(piece)

    async def _key_of(self, tenant_id: str, header: bytes) -> DataKey:
        found = await self._keys.version(tenant_id, key_version(header))
        if found is None:
            raise ContentDamaged("the content names a key its tenant never had")
        return found

    def _require_folder(self) -> None:
        """A folder on a disk that is not mounted is away, not empty: nothing may be written beneath it."""
        if self._marker is not None and not self._marker.exists():
            raise Unavailable("the content folder is not there")


class _Metered:
    """The plain chunks with their size and hash; keeps what went wrong, because obstore may wrap it."""

    def __init__(self, chunks: AsyncIterator[bytes], limit: int) -> None:
        self._chunks = chunks
        self._limit = limit
        self.size = 0
        self.digest = hashlib.sha256()
        self.failure: Exception | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._chunks:
                self.size += len(chunk)
                if self.size > self._limit:
                    raise TooLarge.of("body", f"is larger than {self._limit} bytes")
                await _off_loop(len(chunk), self.digest.update, chunk)
                yield chunk
        except Exception as error:
            self.failure = error
            raise


async def _sealed(key: DataKey, content_key: str, source: _Metered) -> AsyncIterator[bytes]:
    """Header and frames. A frame is kept back until the next bytes show whether it is the last."""
    buffer, sealer = bytearray(), None
    async for chunk in source:
        buffer += chunk
        while len(buffer) > FRAME_BYTES:
            plain = bytes(buffer[:FRAME_BYTES])
            del buffer[:FRAME_BYTES]
            if sealer is None:
                sealer = Sealer(key, content_key, compress=is_worth_compressing(plain))
                yield sealer.header
            yield await asyncio.to_thread(sealer.seal, plain, last=False)
    if sealer is None:
        sealer = Sealer(key, content_key, compress=is_worth_compressing(bytes(buffer)))
        yield sealer.header
    yield await _off_loop(len(buffer), sealer.seal, bytes(buffer), last=True)


async def _off_loop(size: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """In a thread when it takes long enough to be noticed."""
    if size < _THREAD_BYTES:
        return work(*args, **kwargs)
    return await asyncio.to_thread(work, *args, **kwargs)


def _check(tenant_id: str, key: str) -> None:
    """Raises InvalidInput for a key that is not the tenant's, or that could leave its folder."""
    if not is_tenant_id(tenant_id) or not key.startswith(f"{tenant_id}/"):
        raise InvalidInput.of("key", "does not start with the tenant")
    if len(key) > _MAX_KEY or _KEY.fullmatch(key) is None:
        raise InvalidInput.of("key", "is not a path of letters, digits, dots, dashes and underscores")


@contextmanager
def _store_errors() -> Iterator[None]:
    """The one place that maps obstore's errors. Its messages may name buckets and signed requests: they stop here."""
    try:
        yield
    except FileNotFoundError:
        raise ContentMissing("there is no such content") from None
    except (BaseError, OSError, TimeoutError):
        raise Unavailable("the content store does not answer") from None
