"""What several answers share."""

from datetime import datetime
from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

from domain.conversation import Stage, StageState, StageStatus

T = TypeVar("T")

Money = Annotated[float, PlainSerializer(lambda value: round(value, 6), return_type=float)]


class Out(BaseModel):
    """Base of every answer."""

    model_config = ConfigDict(frozen=True)


class ListOut(Out, Generic[T]):
    """A page: send `next_cursor` as `cursor` for the next one; it is null on the last."""

    items: list[T]
    next_cursor: str | None = None


class StageOut(Out):
    name: Stage
    state: StageStatus
    attempts: int
    started_at: datetime | None
    ended_at: datetime | None
    error: str | None = Field(description="The stage's last error, if any.")

    @classmethod
    def of(cls, stage: StageState) -> "StageOut":
        return cls(
            name=stage.name,
            state=stage.state,
            attempts=stage.attempts,
            started_at=stage.started_at,
            ended_at=stage.ended_at,
            error=stage.last_error,
        )


class NoteOut(Out):
    """Something that was guessed or left out, said in words."""

    code: str
    detail: str
