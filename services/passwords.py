"""Passwords: argon2id, a few at a time, and as long for an account there is not as for one there is."""

import asyncio
import secrets
from functools import cached_property

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from domain.errors import InvalidInput
from domain.people import MAX_PASSWORD, MIN_PASSWORD

AT_ONCE = 2
"""Each takes 64 MiB and some ten milliseconds of four threads."""


class Passwords:
    """Hashes and checks in threads. One per process, made in the running loop."""

    def __init__(self, hasher: PasswordHasher | None = None, *, at_once: int = AT_ONCE) -> None:
        self._hasher = hasher or PasswordHasher()
        self._gate = asyncio.Semaphore(at_once)

    async def hash(self, password: str) -> str:
        async with self._gate:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def check(self, password: str, known: str | None) -> bool:
        """Whether it is the password of this hash. None, for nobody's, takes as long and is False."""
        async with self._gate:
            return await asyncio.to_thread(self._check, password, known)

    def is_dated(self, known: str) -> bool:
        """Whether a hash was made with weaker parameters than today's."""
        return self._hasher.check_needs_rehash(known)

    def _check(self, password: str, known: str | None) -> bool:
        try:
            right = self._hasher.verify(known or self._nobodys, password)
        except (VerificationError, InvalidHashError):
            return False
        return right and known is not None

    @cached_property
    def _nobodys(self) -> str:
        return self._hasher.hash(secrets.token_urlsafe(32))


def require_good(password: str, *, field: str = "password", email: str = "") -> None:
    """Raises InvalidInput. Length is what counts; only what anybody would try first is refused besides."""
    if len(password) < MIN_PASSWORD:
        raise InvalidInput.of(field, f"has at least {MIN_PASSWORD} characters")
    if len(password) > MAX_PASSWORD:
        raise InvalidInput.of(field, f"has at most {MAX_PASSWORD} characters")
    lowered = password.lower()
    if len(set(lowered)) < 5 or (email and lowered in (email, email.partition("@")[0])):
        raise InvalidInput.of(field, "is too easy to guess")
