"""Pools of asyncpg connections: codecs, timeouts, no needless round trips."""

from typing import TYPE_CHECKING, Any

import asyncpg
from pydantic_core import from_json, to_json

if TYPE_CHECKING:
    from storage.postgres.session import AnyConnection

_JSONB_VERSION = b"\x01"


async def open_pool(
    url: str, *, minimum: int, maximum: int, timeout_seconds: float, application_name: str
) -> "asyncpg.Pool[asyncpg.Record]":
    """A pool in the running loop. Statements end after `timeout_seconds`, waits for locks after a third of it."""
    milliseconds = int(timeout_seconds * 1000)
    return await asyncpg.create_pool(
        url,
        min_size=minimum,
        max_size=maximum,
        timeout=min(10.0, timeout_seconds),
        # A little longer than the server's own limit: this one is for a server that no longer answers.
        command_timeout=timeout_seconds + 5,
        max_inactive_connection_lifetime=300,
        init=prepare,
        reset=_leave_as_is,
        server_settings={
            "application_name": application_name,
            "statement_timeout": str(milliseconds),
            "lock_timeout": str(milliseconds // 3),
            "idle_in_transaction_session_timeout": str(milliseconds * 2),
            "timezone": "UTC",
            "jit": "off",
        },
    )


async def prepare(connection: "AnyConnection") -> None:
    """uuid as text and jsonb as Python values (models included) on this connection."""
    await connection.set_type_codec(
        "uuid",
        schema="pg_catalog",
        encoder=str,
        decoder=str,
        format="text",
    )
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=_jsonb_bytes,
        decoder=_jsonb_value,
        format="binary",
    )


async def _leave_as_is(connection: "AnyConnection") -> None:
    """Nothing outlives a transaction here, so there is nothing to clear with a round trip. (An open transaction asyncpg
    rolls back by itself.)"""


def _jsonb_bytes(value: object) -> bytes:
    return _JSONB_VERSION + to_json(value)


def _jsonb_value(data: bytes) -> Any:
    return from_json(bytes(data)[1:])
