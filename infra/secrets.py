"""Secrets by reference: `env:NAME` or `file:PATH`. Settings and tables hold references, never the secret.

This is the one place that follows a reference.
"""

import base64
import binascii
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import GetCoreSchemaHandler, SecretStr
from pydantic_core import CoreSchema, core_schema

from domain.errors import ParleyError

KEY_BYTES = 32

_MAX_SECRET_BYTES = 64 * 1024


class SecretUnavailable(ParleyError):
    """A reference leads nowhere, or to something that is no such secret. Names the reference only."""

    code = "secret_unavailable"
    title = "A secret cannot be read"


@dataclass(frozen=True)
class SecretRef:
    """A reference to a secret. The empty reference stands for "not configured"."""

    reference: str = ""

    def __post_init__(self) -> None:
        kind, _, target = self.reference.partition(":")
        if self.reference and (kind not in ("env", "file") or not target):
            # The text is not repeated: it may be the secret itself, given in the wrong place.
            raise ValueError("a secret is given as env:NAME or file:/absolute/path, never as its value")
        if kind == "file" and not Path(target).is_absolute():
            raise ValueError("a file: reference needs an absolute path")

    def __bool__(self) -> bool:
        return bool(self.reference)

    def __str__(self) -> str:
        return self.reference

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            lambda value: value if isinstance(value, cls) else cls(str(value)),
            serialization=core_schema.to_string_ser_schema(),
        )


def resolve(ref: SecretRef, environ: Mapping[str, str] = os.environ) -> SecretStr:
    """The secret behind a reference, without surrounding white space.

    Raises:
        SecretUnavailable: not configured, missing, unreadable, or empty.
    """
    kind, _, target = ref.reference.partition(":")
    if kind == "env":
        value = environ.get(target, "")
    elif kind == "file":
        try:
            with Path(target).open(encoding="utf-8") as file:
                value = file.read(_MAX_SECRET_BYTES)
        except (OSError, UnicodeDecodeError) as error:
            raise SecretUnavailable(f"{ref} cannot be read: {type(error).__name__}") from None
    else:
        raise SecretUnavailable("the secret is not configured")
    if not value.strip():
        raise SecretUnavailable(f"{ref} is empty or not set")
    return SecretStr(value.strip())


def resolve_key(ref: SecretRef) -> bytes:
    """A 32-byte key, stored as base64.

    Raises:
        SecretUnavailable: as `resolve`, or it is not 32 bytes of base64, or they are all the same.
    """
    try:
        key = base64.b64decode(resolve(ref).get_secret_value(), validate=True)
    except binascii.Error:
        raise SecretUnavailable(f"{ref} is not base64") from None
    if len(key) != KEY_BYTES or len(set(key)) == 1:
        raise SecretUnavailable(f"{ref} is not a random key of {KEY_BYTES} bytes")
    return key


def new_key() -> str:
    """A fresh 32-byte key as base64, the form `resolve_key` reads."""
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode("ascii")


@dataclass(frozen=True)
class EngineCredentials:
    """Follows the credential references that engine configurations hold.

    Tenants and partners write those configurations, and what a reference leads to is sent to the address
    the same configuration names. So only what the operator set apart for engines can be referred to.
    """

    names: frozenset[str]
    folder: Path | None = None

    def resolve(self, ref: SecretRef) -> SecretStr:
        """As `resolve`, for variables in `names` and files inside `folder` only.

        Raises:
            SecretUnavailable: also when the reference is outside what engines may use.
        """
        kind, _, target = ref.reference.partition(":")
        if kind == "env" and target in self.names:
            return resolve(ref)
        if kind == "file" and self.folder is not None:
            path = Path(target).resolve()
            if path.is_relative_to(self.folder.resolve()):
                return resolve(SecretRef(f"file:{path}"))
        raise SecretUnavailable("the reference is not one that engines may use")
