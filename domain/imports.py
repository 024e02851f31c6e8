"""Imports: one file of many conversations, read row by row, and what became of each row."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, Field, StringConstraints

from domain.arrivals import Arrival
from domain.conversation import Channel, Frozen, Slug, Status
from domain.errors import FieldProblem, InvalidInput
from domain.ids import IdStr
from domain.mapping import Format
from domain.times import seconds_between

MAX_ROW_PROBLEMS = 10
"""Field problems kept of one row; a row with more is as wrong as one with ten."""

_MAX_FIELD, _MAX_REASON = 300, 500


class ImportState(StrEnum):
    """Where an import is. `waiting`: accepted, and no worker has begun it. Only the first two are worked on."""

    WAITING = "waiting"
    RUNNING = "running"
    PAUSED = "paused"
    FAILED = "failed"
    COMPLETED = "completed"
    CANCELLED = "cancelled"

    @property
    def is_open(self) -> bool:
        """Whether rows may still come of it by itself."""
        return self in (ImportState.WAITING, ImportState.RUNNING)

    @property
    def is_over(self) -> bool:
        """Whether nothing will ever come of it again."""
        return self in (ImportState.COMPLETED, ImportState.CANCELLED)


class RowOutcome(StrEnum):
    """What became of a row; of a dry run, what would."""

    CREATED = "created"
    UNCHANGED = "unchanged"
    REVISED = "revised"
    FAILED = "failed"


class RowProblem(Frozen):
    """One thing wrong with one field of a row. Never repeats what the field holds."""

    field: Annotated[str, StringConstraints(max_length=_MAX_FIELD)]
    reason: Annotated[str, StringConstraints(max_length=_MAX_REASON)]


class ImportRow(Frozen):
    """A line of the report. number: 1, 2, 3 … in the file; part: 1, 2, 3 … of a row several conversations came of.

    name: of the file the row was in, when the import has several. revision: the one that was made or found.
    """

    number: int = Field(ge=1)
    part: int = Field(default=1, ge=1)
    name: str | None = None
    outcome: RowOutcome
    conversation_id: IdStr | None = None
    revision: int | None = None
    code: str | None = None
    problems: tuple[RowProblem, ...] = ()


class Rows(Frozen):
    """How many rows were read, and how many conversations or failures came of them, by outcome."""

    read: int = 0
    created: int = 0
    unchanged: int = 0
    revised: int = 0
    failed: int = 0

    def with_more(self, read: int, rows: Sequence[ImportRow]) -> "Rows":
        counts = {outcome.value: 0 for outcome in RowOutcome}
        for row in rows:
            counts[row.outcome.value] += 1
        return Rows(read=self.read + read, **{name: count + getattr(self, name) for name, count in counts.items()})


class Volume(Frozen):
    """How much there is to analyse of one channel. audio_ms: of calls that say when they began and ended;
    unmeasured: calls that do not, or do not have a transcript either."""

    conversations: int = 0
    characters: int = 0
    audio_ms: int = 0
    unmeasured: int = 0

    def __add__(self, other: "Volume") -> "Volume":
        return Volume(
            conversations=self.conversations + other.conversations,
            characters=self.characters + other.characters,
            audio_ms=self.audio_ms + other.audio_ms,
            unmeasured=self.unmeasured + other.unmeasured,
        )


Volumes = dict[Channel, Volume]


def with_volume(volumes: Volumes, arrival: Arrival) -> Volumes:
    """The volumes with one more conversation's."""
    channel = arrival.conversation.channel
    return {**volumes, channel: volumes.get(channel, Volume()) + volume_of(arrival)}


def volume_of(arrival: Arrival) -> Volume:
    """What one conversation has to read or to hear."""
    intake = arrival.conversation
    if intake.messages is not None:
        return Volume(conversations=1, characters=sum(len(m.text) + len(m.subject or "") for m in intake.messages))
    if intake.transcript is not None:
        return Volume(conversations=1, characters=sum(len(s.text) for s in intake.transcript.segments))
    seconds = seconds_between(intake.started_at, intake.ended_at)
    if seconds is None:
        return Volume(conversations=1, unmeasured=1)
    return Volume(conversations=1, audio_ms=round(seconds * 1000))


class Import(Frozen):
    """One import. entry: which run of the workflow may write; each resumption has the next one.

    source_named: somebody named the source, so no row may name another.
    rows and bytes_read are the checkpoint: they are committed together with what became of the rows. worked_ms: time
    spent on rows, without waiting.
    """

    id: IdStr
    source: Slug
    source_named: bool
    format: Format
    media_type: str
    name: str | None
    dry_run: bool
    state: ImportState
    reason: str | None = None
    detail: str | None = None
    waits: str | None = None
    entry: int = Field(default=1, ge=1)
    content_key: str
    size: int
    sha256: str
    bytes_read: int = 0
    rows: Rows = Rows()
    volumes: Volumes = Field(default_factory=dict)
    worked_ms: int = 0
    created_at: AwareDatetime
    started_at: AwareDatetime | None = None
    ended_at: AwareDatetime | None = None

    @property
    def rows_per_second(self) -> float | None:
        """None before anything was read."""
        return self.rows.read * 1000 / self.worked_ms if self.worked_ms and self.rows.read else None

    @property
    def seconds_left(self) -> float | None:
        """At the speed so far, without waiting; None when nothing is to come, or nothing has been read yet."""
        if self.state.is_over or not self.bytes_read or not self.worked_ms:
            return None
        return max(0, self.size - self.bytes_read) * self.worked_ms / self.bytes_read / 1000


Analysis = dict[Status, int]
"""How many of an import's conversations are in which status."""


def problems_of(error: InvalidInput) -> tuple[RowProblem, ...]:
    """What is kept of a row's error: at least one field and reason."""
    found = error.problems or (FieldProblem("row", error.message),)
    return tuple(
        RowProblem(field=p.field[:_MAX_FIELD] or "row", reason=p.reason[:_MAX_REASON]) for p in found[:MAX_ROW_PROBLEMS]
    )
