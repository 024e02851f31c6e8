"""Uploads: a promise, where to put the bytes, and what came."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.schemas.common import Out


class UploadIn(BaseModel):
    """What will come: its size in bytes and its SHA-256."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: int = Field(ge=1)
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{64}$", to_lower=True)]


class UploadOpenOut(Out):
    """PUT the bytes to `url` before `expires_at`; it needs no API key. Then name `id` in the conversation's audio."""

    id: str
    method: Literal["PUT"] = "PUT"
    url: str
    expires_at: datetime


class UploadOut(Out):
    """state: open (waiting for its bytes), stored. media_type is what the bytes are, whatever they were called."""

    id: str
    state: str
    size: int
    sha256: str | None
    media_type: str
    created_at: datetime
