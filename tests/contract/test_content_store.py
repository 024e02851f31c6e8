"""What every content store must do, on a folder and on a bucket without folders."""

import hashlib
import os
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import obstore
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from obstore.store import MemoryStore

from domain.errors import ContentDamaged, ContentMissing, InvalidInput, TooLarge, Unavailable
from domain.ids import TenantId
from storage.content import open_content_store
from storage.content.sealing import FRAME_BYTES, HEADER_BYTES, LENGTH_BYTES, open_all, seal_all
from storage.content.store import SealedContentStore
from storage.crypto import DataKey, MasterKeys, WrappedKey, new_data_key

TENANT, OTHER = TenantId("a" * 32), TenantId("b" * 32)
BORDERS = (0, 1, 2, 41, 42, FRAME_BYTES - 1, FRAME_BYTES, FRAME_BYTES + 1, 2 * FRAME_BYTES, 2 * FRAME_BYTES + 17)


class KeysInMemory:
    """Two versions a tenant; the second seals."""

    def __init__(self) -> None:
        self.keys: dict[tuple[str, int], DataKey] = {}

    async def current(self, tenant_id: str) -> DataKey:
        return self._key(tenant_id, 2)

    async def version(self, tenant_id: str, version: int) -> DataKey | None:
        return self._key(tenant_id, version) if version in (1, 2) else None

    def _key(self, tenant_id: str, version: int) -> DataKey:
        return self.keys.setdefault((tenant_id, version), new_data_key(version))


@pytest.fixture(params=["folder", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> SealedContentStore:
    if request.param == "folder":
        return open_content_store(f"file://{tmp_path}/with%20space", KeysInMemory())
    return SealedContentStore(MemoryStore(), None, KeysInMemory(), 60.0)


def key(name: str = "x/content.json", tenant: str = TENANT) -> str:
    return f"{tenant}/{name}"


async def pieces(data: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def text(size: int) -> bytes:
    return (b'{"text": "the customer says that the parcel is late"}' * (size // 50 + 1))[:size]


async def collect(stream: AsyncIterator[bytes]) -> bytes:
    return b"".join([piece async for piece in stream])


@pytest.mark.parametrize("size", BORDERS)
@pytest.mark.parametrize("make", [os.urandom, text])
async def test_what_goes_in_comes_out(store: SealedContentStore, size: int, make: Callable[[int], bytes]) -> None:
    data = make(size)
    await store.put(TENANT, key("whole"), data)
    measured = await store.put_stream(TENANT, key("streamed"), pieces(data, 300_007), limit=size)

    assert measured == (size, hashlib.sha256(data).hexdigest())
    for name in ("whole", "streamed"):
        assert await store.get(TENANT, key(name)) == data
        assert await collect(store.get_stream(TENANT, key(name))) == data


async def test_text_is_compressed_and_nothing_is_readable(tmp_path: Path) -> None:
    store = open_content_store(f"file://{tmp_path}", KeysInMemory())
    data = text(500_000)
    await store.put(TENANT, key(), data)

    stored = (tmp_path / key()).read_bytes()

    assert len(stored) < len(data) / 10
    assert b"parcel" not in stored


async def test_a_put_replaces(store: SealedContentStore) -> None:
    await store.put(TENANT, key(), b"first")
    await store.put(TENANT, key(), b"second")

    assert await store.get(TENANT, key()) == b"second"


async def test_missing_and_deleted_content(store: SealedContentStore) -> None:
    with pytest.raises(ContentMissing):
        await store.get(TENANT, key())
    with pytest.raises(ContentMissing):
        await collect(store.get_stream(TENANT, key()))
    await store.put(TENANT, key(), b"x")
    await store.delete(TENANT, key())
    await store.delete(TENANT, key())
    with pytest.raises(ContentMissing):
        await store.get(TENANT, key())


@pytest.mark.parametrize(
    "bad",
    [
        f"{TENANT}",
        f"{TENANT}/",
        f"{TENANT}/../{OTHER}/x",
        f"{TENANT}/./x",
        f"{TENANT}/a//b",
        f"{TENANT}/.hidden",
        f"{TENANT}/a b",
        f"{TENANT}/a\x00b",
        f"{TENANT}/a%2f..%2fb",
        f"{TENANT}/" + "a" * 600,
        f"/{TENANT}/x",
        f"{OTHER}/x",
        "",
    ],
)
async def test_keys_stay_inside_the_tenant(store: SealedContentStore, bad: str) -> None:
    with pytest.raises(InvalidInput):
        await store.put(TENANT, bad, b"x")
    with pytest.raises(InvalidInput):
        await store.put_stream(TENANT, bad, pieces(b"x", 1), limit=9)
    with pytest.raises(InvalidInput):
        await store.get(TENANT, bad)
    with pytest.raises(InvalidInput):
        await collect(store.get_stream(TENANT, bad))
    with pytest.raises(InvalidInput):
        await store.delete(TENANT, bad)


async def test_a_stream_that_is_too_large_leaves_nothing(tmp_path: Path) -> None:
    store = open_content_store(f"file://{tmp_path}", KeysInMemory())
    with pytest.raises(TooLarge):
        await store.put_stream(TENANT, key(), pieces(os.urandom(8 * FRAME_BYTES), FRAME_BYTES), limit=7 * FRAME_BYTES)

    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [tmp_path / "parley-content-store"]


async def test_a_stream_that_breaks_leaves_what_was_there(store: SealedContentStore) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield os.urandom(6 * FRAME_BYTES)
        raise ConnectionResetError("the sender went away")

    await store.put(TENANT, key(), b"before")
    with pytest.raises(ConnectionResetError):
        await store.put_stream(TENANT, key(), broken(), limit=100 * FRAME_BYTES)

    assert await store.get(TENANT, key()) == b"before"


async def test_a_blob_does_not_open_elsewhere(store: SealedContentStore) -> None:
    """Exchanged blobs are noticed: under another name, and under another tenant with the same key version."""
    await store.put(TENANT, key("a"), b"of a")
    await store.put(OTHER, key("a", OTHER), b"of other")
    blob = bytes(obstore.get(store._store, key("a")).bytes())
    obstore.put(store._store, key("b"), blob)
    obstore.put(store._store, key("a", OTHER), blob)

    for tenant, name in ((TENANT, key("b")), (OTHER, key("a", OTHER))):
        with pytest.raises(ContentDamaged):
            await store.get(tenant, name)
        with pytest.raises(ContentDamaged):
            await collect(store.get_stream(tenant, name))


async def test_memory_of_a_stream_is_bounded(tmp_path: Path) -> None:
    store, process = open_content_store(f"file://{tmp_path}", KeysInMemory()), psutil.Process()
    frame, frames, used = os.urandom(FRAME_BYTES), 300, []

    async def sender() -> AsyncIterator[bytes]:
        for _ in range(frames):
            used.append(process.memory_info().rss)
            yield frame

    await store.put_stream(TENANT, key(), sender(), limit=frames * FRAME_BYTES)
    async for piece in store.get_stream(TENANT, key()):
        assert len(piece) == FRAME_BYTES
        used.append(process.memory_info().rss)

    assert max(used) - used[0] < 100 * FRAME_BYTES


async def test_a_folder_that_is_gone_is_away_not_empty(tmp_path: Path) -> None:
    folder = tmp_path / "content"
    store = open_content_store(f"file://{folder}", KeysInMemory())
    await store.put(TENANT, key(), b"x")
    await store.ping()
    shutil.move(folder, tmp_path / "unmounted")

    for attempt in (
        store.ping(),
        store.put(TENANT, key(), b"y"),
        store.get(TENANT, key()),
        store.delete(TENANT, key()),
    ):
        with pytest.raises(Unavailable):
            await attempt
    assert not folder.exists()

    shutil.move(tmp_path / "unmounted", folder)
    assert await store.get(TENANT, key()) == b"x"


async def test_a_bucket_that_does_not_answer_is_unavailable() -> None:
    store = open_content_store("s3://bucket/prefix", KeysInMemory(), timeout_seconds=0.2)
    with pytest.raises(Unavailable):
        await store.get(TENANT, key())


@pytest.mark.parametrize("url", ["", "folder", "file://", "file:///", "ftp://host/x", "https://host/x", "memory:///"])
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(InvalidInput):
        open_content_store(url, KeysInMemory())


# -- the sealed form itself

KEY = DataKey(7, bytes(range(32)))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), size=st.sampled_from((0, 1, 100, 3000, FRAME_BYTES, FRAME_BYTES + 1)), readable=st.booleans())
def test_damage_of_any_byte_is_noticed(data: st.DataObject, size: int, readable: bool) -> None:
    plain = text(size) if readable else os.urandom(size)
    blob = seal_all(KEY, "t/key", plain)
    assert open_all(KEY, "t/key", blob) == plain

    at = data.draw(st.integers(0, len(blob) - 1))
    flip = data.draw(st.integers(1, 255))
    damaged = blob[:at] + bytes([blob[at] ^ flip]) + blob[at + 1 :]
    # The key's version chooses the key: here it stays the same, so the header itself must give the damage away.
    with pytest.raises(ContentDamaged):
        open_all(KEY, "t/key", damaged)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), size=st.sampled_from((0, 5, FRAME_BYTES, 2 * FRAME_BYTES, 2 * FRAME_BYTES + 1)))
def test_truncated_and_longer_blobs_are_noticed(data: st.DataObject, size: int) -> None:
    blob = seal_all(KEY, "t/key", os.urandom(size))
    end = data.draw(st.integers(0, len(blob) - 1))
    for damaged in (blob[:end], blob + b"\0", blob + blob[HEADER_BYTES:]):
        with pytest.raises(ContentDamaged):
            open_all(KEY, "t/key", damaged)


def test_frames_in_another_order_are_noticed() -> None:
    blob = seal_all(KEY, "t/key", os.urandom(3 * FRAME_BYTES))
    length = LENGTH_BYTES + FRAME_BYTES + 16
    header, body = blob[:HEADER_BYTES], blob[HEADER_BYTES:]
    frames = [body[at : at + length] for at in range(0, len(body), length)]
    assert open_all(KEY, "t/key", header + b"".join(frames))

    for order in ((1, 0, 2), (0, 2), (0, 0, 1, 2), (2,)):
        with pytest.raises(ContentDamaged):
            open_all(KEY, "t/key", header + b"".join(frames[n] for n in order))


def test_the_same_content_never_looks_the_same() -> None:
    assert seal_all(KEY, "t/key", b"x")[HEADER_BYTES:] != seal_all(KEY, "t/key", b"x")[HEADER_BYTES:]


def test_master_keys_rotate() -> None:
    old, new = os.urandom(32), os.urandom(32)
    wrapped = MasterKeys(old).wrap(TENANT, KEY)

    assert MasterKeys(new, old).unwrap(TENANT, wrapped) == KEY
    assert MasterKeys(new, old).wrap(TENANT, KEY).master_key_id != wrapped.master_key_id
    with pytest.raises(Unavailable):
        MasterKeys(new).unwrap(TENANT, wrapped)


def test_a_wrapped_key_belongs_to_its_tenant_and_version() -> None:
    keys = MasterKeys(os.urandom(32))
    wrapped = keys.wrap(TENANT, KEY)
    for tenant, version in ((OTHER, wrapped.version), (TENANT, wrapped.version + 1)):
        with pytest.raises(Unavailable):
            keys.unwrap(tenant, WrappedKey(version, wrapped.master_key_id, wrapped.wrapped))
    with pytest.raises(ValueError, match="32 bytes"):
        MasterKeys(b"short")
    assert repr(KEY) == "DataKey(version=7)"
