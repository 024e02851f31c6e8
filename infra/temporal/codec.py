"""What Temporal stores of our payloads: compressed, then encrypted.

A payload is serialized whole (its metadata too), compressed with zstd when that makes it smaller, and sealed with
AES-256-GCM. The envelope's metadata names the key, so keys can be rotated: new payloads use the current key, older
keys stay readable for as long as histories that used them are kept.
"""

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from temporalio.api.common.v1 import Payload
from temporalio.converter import PayloadCodec

from domain.errors import ParleyError

ENCODING = b"binary/encrypted"
COMPRESSION_THRESHOLD = 256
"""Bytes below which compression is not tried: the codec's own overhead would eat the gain."""

_MAX_PLAIN = 16 * 1024 * 1024
_NONCE_BYTES = 12
_ZSTD, _NONE = b"zstd", b"none"


class PayloadUnreadable(ParleyError):
    """A payload was sealed with a key this process does not have, or was altered. Names the key's id only."""

    code = "payload_unreadable"
    title = "A Temporal payload cannot be read"


def key_id(key: bytes) -> str:
    """A name for a key that tells nothing about it: 16 hex digits of a hash."""
    return hashlib.sha256(b"parley payload key\x00" + key).hexdigest()[:16]


@dataclass(frozen=True)
class KeyRing:
    """Keys of 32 bytes: `current` seals, `older` are read only."""

    current: bytes = field(repr=False)
    older: tuple[bytes, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        if any(len(key) != 32 for key in (self.current, *self.older)):
            raise ValueError("a payload key has 32 bytes")


class SealingCodec(PayloadCodec):
    """Compress, then encrypt. The key's id and the compression are authenticated with the payload."""

    def __init__(self, keys: KeyRing) -> None:
        self._current = key_id(keys.current)
        self._ciphers = {key_id(key): AESGCM(key) for key in (*keys.older, keys.current)}

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [self.seal(payload) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Payloads that are not ours pass through. Raises PayloadUnreadable."""
        return self.open_all(payloads)

    def open_all(self, payloads: Iterable[Payload]) -> list[Payload]:
        """As `decode`, without an event loop."""
        return [self._open(payload) for payload in payloads]

    def seal(self, payload: Payload) -> Payload:
        """One, without an event loop."""
        data, compression = payload.SerializeToString(), _NONE
        if len(data) >= COMPRESSION_THRESHOLD:
            smaller = zstandard.compress(data, 3)
            if len(smaller) < len(data):
                data, compression = smaller, _ZSTD
        nonce = os.urandom(_NONCE_BYTES)
        name = self._current.encode()
        sealed = nonce + self._ciphers[self._current].encrypt(nonce, data, _associated(name, compression))
        return Payload(
            metadata={"encoding": ENCODING, "encryption-key-id": name, "compression": compression}, data=sealed
        )

    def _open(self, payload: Payload) -> Payload:
        if payload.metadata.get("encoding") != ENCODING:
            return payload
        name = payload.metadata.get("encryption-key-id", b"")
        compression = payload.metadata.get("compression", _NONE)
        cipher = self._ciphers.get(name.decode("ascii", "replace"))
        if cipher is None:
            raise PayloadUnreadable(f"no key {name.decode('ascii', 'replace')[:16]} to read a payload with")
        nonce, sealed = payload.data[:_NONCE_BYTES], payload.data[_NONCE_BYTES:]
        try:
            data = cipher.decrypt(nonce, sealed, _associated(name, compression))
        except (InvalidTag, ValueError):
            raise PayloadUnreadable("a payload was altered or is damaged") from None
        if compression == _ZSTD:
            data = zstandard.ZstdDecompressor().decompress(data, max_output_size=_MAX_PLAIN)
        return Payload.FromString(data)


def _associated(name: bytes, compression: bytes) -> bytes:
    return b"\x00".join((ENCODING, name, compression))
