"""Keys: the master keys wrap the tenants' data keys, and the data keys seal content.

A master key comes from the process's secrets and is never stored. Losing it loses every original; a stolen database
or bucket without it says nothing.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from domain.errors import Unavailable

KEY_BYTES = 32
_NONCE_BYTES = 12


@dataclass(frozen=True)
class DataKey:
    """One tenant's key in one version: 32 bytes that never leave the process in the clear."""

    version: int
    secret: bytes = field(repr=False)


class DataKeys(Protocol):
    """The tenants' data keys. Both raise NotFound for a tenant that does not exist, Unavailable."""

    async def current(self, tenant_id: str) -> DataKey:
        """The key to seal with; made on first use."""
        ...

    async def version(self, tenant_id: str, version: int) -> DataKey | None:
        """The key that sealed something earlier; None when there never was such a version."""
        ...


@dataclass(frozen=True)
class WrappedKey:
    """A data key as the database keeps it: AES-256-GCM under a master key, bound to tenant and version."""

    version: int
    master_key_id: str
    wrapped: bytes


class MasterKeys:
    """The first key wraps; the others only unwrap what they wrapped before a rotation."""

    def __init__(self, current: bytes, *older: bytes) -> None:
        """Raises ValueError for a key that is not 32 bytes."""
        keys: Sequence[bytes] = (current, *older)
        if any(len(key) != KEY_BYTES for key in keys):
            raise ValueError(f"a master key has {KEY_BYTES} bytes")
        self._ciphers: Mapping[str, AESGCM] = {_fingerprint(key): AESGCM(key) for key in keys}
        self._current = _fingerprint(current)

    def wrap(self, tenant_id: str, key: DataKey) -> WrappedKey:
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._ciphers[self._current].encrypt(nonce, key.secret, _context(tenant_id, key.version))
        return WrappedKey(key.version, self._current, nonce + sealed)

    def seal(self, context: str, data: bytes) -> tuple[str, bytes]:
        """(the master key's id, the sealed bytes), which open in the same context only."""
        return self._current, seal(self._ciphers[self._current], context, data)

    def open(self, master_key_id: str, context: str, sealed: bytes) -> bytes:
        """Raises Unavailable as `unwrap` does."""
        cipher = self._ciphers.get(master_key_id)
        if cipher is None:
            raise Unavailable("it was sealed by a master key this process does not have")
        return unseal(cipher, context, sealed)

    def unwrap(self, tenant_id: str, wrapped: WrappedKey) -> DataKey:
        """Raises Unavailable when this process lacks the master key, or the row was tampered with: both are for an
        operator to mend, and the content is still there."""
        cipher = self._ciphers.get(wrapped.master_key_id)
        if cipher is None:
            raise Unavailable("the tenant's key was wrapped by a master key this process does not have")
        nonce, sealed = wrapped.wrapped[:_NONCE_BYTES], wrapped.wrapped[_NONCE_BYTES:]
        try:
            secret = cipher.decrypt(nonce, sealed, _context(tenant_id, wrapped.version))
        except (InvalidTag, ValueError):
            raise Unavailable("the tenant's key cannot be unwrapped") from None
        return DataKey(wrapped.version, secret)


def new_data_key(version: int) -> DataKey:
    return DataKey(version, os.urandom(KEY_BYTES))


def seal(cipher: AESGCM, context: str, data: bytes) -> bytes:
    """A nonce, and the data sealed under it and the context."""
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + cipher.encrypt(nonce, data, context.encode())


def unseal(cipher: AESGCM, context: str, sealed: bytes) -> bytes:
    """Raises Unavailable for what was tampered with, or sealed in another context."""
    try:
        return cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], context.encode())
    except (InvalidTag, ValueError):
        raise Unavailable("what is sealed cannot be opened") from None


def _fingerprint(key: bytes) -> str:
    """Names a key without saying anything about it."""
    return hashlib.sha256(b"parley master key" + key).hexdigest()[:16]


def _context(tenant_id: str, version: int) -> bytes:
    return f"{tenant_id}/{version}".encode()
