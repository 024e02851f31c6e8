"""API keys: 256 random bits, of which only the SHA-256 is stored.

A hash without salt and stretching is enough for a random key of that length, and lets it be found by its hash.
"""

import hashlib
import secrets

PREFIX = "parley_"
"""Makes a leaked key recognisable to people and to secret scanners."""

SCOPES = ("ingest", "read", "configure", "operate")


def new_api_key() -> str:
    """A fresh key, as its holder gets to see it once."""
    return PREFIX + secrets.token_urlsafe(32)


def api_key_hash(key: str) -> bytes:
    """What is stored and looked up: 32 bytes."""
    return hashlib.sha256(key.encode()).digest()
