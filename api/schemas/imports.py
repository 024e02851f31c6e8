"""Imports: a file of many conversations, and what became of each row."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.schemas.common import Money, Out
from domain.conversation import Slug, Status
from domain.imports import Import, ImportRow, ImportState, RowOutcome
from domain.mapping import Format
from services.estimate import Estimate
from services.imports import ImportReport, NewImport

_ENDED_WELL = (Status.COMPLETED, Status.COMPLETED_WITH_GAPS)


class ImportQuery(BaseModel):
    """How the file is to be taken."""

    model_config = ConfigDict(extra="forbid")

    source: Slug | None = Field(
        default=None, description="The source all rows are of. Without it canonical rows name their own."
    )
    dry_run: bool = Field(default=False, description="Read and check every row, store nothing, estimate the cost.")
    format: Format | None = Field(default=None, description="What the rows are, where the Content-Type does not tell.")
    name: Annotated[str, StringConstraints(pattern=r"^[^\x00]{1,200}$")] | None = Field(
        default=None, description="The file's name, for the report."
    )

    def of(self, content_type: str | None) -> NewImport:
        return NewImport(
            source=self.source, dry_run=self.dry_run, content_type=content_type, format=self.format, name=self.name
        )


class ImportLinks(Out):
    self: str
    rows: str
    failed: str = Field(description="The rows that were refused.")


class ImportAcceptedOut(Out):
    """The file is stored. started: whether Temporal has taken it; else it starts by itself later."""

    id: str
    state: ImportState
    started: bool
    links: ImportLinks


class RowsOut(Out):
    """Rows read so far, and conversations (or failures) that came of them. Of a dry run: that would have."""

    read: int
    created: int
    unchanged: int
    revised: int
    failed: int


class AnalysisOut(Out):
    """Where the analysis of the created and revised conversations is. It is paced, and goes on after the last row."""

    waiting: int
    completed: int = Field(description="With or without gaps.")
    parked: int
    failed: int

    @classmethod
    def of(cls, report: ImportReport) -> Self:
        return cls(
            waiting=report.waiting,
            completed=sum(report.analysis.get(status, 0) for status in _ENDED_WELL),
            parked=report.analysis.get(Status.PARKED, 0),
            failed=report.analysis.get(Status.FAILED, 0),
        )


class TaskEstimateOut(Out):
    task: str
    engine: str
    conversations: int
    input_tokens: int
    output_tokens: int
    cost_usd: Money


class EstimateOut(Out):
    """What the analysis would come to, by the active tasks and their engines' prices; tokens are guessed from
    characters, and filters of tasks are not looked at, so it is rather too much than too little.

    unmeasured_calls: calls whose length only decoding can tell; they are in no figure.
    """

    conversations: int
    audio_minutes: float
    unmeasured_calls: int
    transcription_engine: str | None
    transcription_usd: Money
    input_tokens: int
    output_tokens: int
    cost_usd: Money
    tasks: list[TaskEstimateOut]

    @classmethod
    def of(cls, found: Estimate) -> Self:
        return cls(
            conversations=found.conversations,
            audio_minutes=round(found.audio_minutes, 1),
            unmeasured_calls=found.unmeasured,
            transcription_engine=found.transcription,
            transcription_usd=found.transcription_usd,
            input_tokens=found.input_tokens,
            output_tokens=found.output_tokens,
            cost_usd=found.cost_usd,
            tasks=[
                TaskEstimateOut.model_validate({name: getattr(task, name) for name in TaskEstimateOut.model_fields})
                for task in found.tasks
            ],
        )


class ImportListed(Out):
    """A row of the list. reason and detail: why it failed; waits: what it waits for by itself."""

    id: str
    source: str
    format: Format
    media_type: str
    name: str | None
    dry_run: bool
    state: ImportState
    reason: str | None
    detail: str | None
    waits: str | None
    size: int = Field(description="Bytes of the file.")
    bytes_read: int
    rows: RowsOut
    rows_per_second: float | None
    seconds_left: float | None = Field(description="At the speed so far, without waiting.")
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None

    @classmethod
    def of(cls, found: Import) -> Self:
        return cls(**_listed(found))


class ImportOut(ImportListed):
    """An import with what became of its conversations. estimate: of a dry run."""

    analysis: AnalysisOut
    estimate: EstimateOut | None
    links: ImportLinks

    @classmethod
    def of_report(cls, report: ImportReport, links: ImportLinks) -> Self:
        return cls(
            **_listed(report.found),
            analysis=AnalysisOut.of(report),
            estimate=EstimateOut.of(report.estimate) if report.estimate else None,
            links=links,
        )


class RowProblemOut(Out):
    field: str
    reason: str


class ImportRowOut(Out):
    """A line of the report. number: of the row in the file; part: of a row that several conversations came of."""

    number: int
    part: int
    name: str | None = Field(description="The file the row was in, when several came at once.")
    outcome: RowOutcome
    conversation_id: str | None
    revision: int | None
    code: str | None = Field(description="The kind of problem, as in problem documents.")
    problems: list[RowProblemOut]

    @classmethod
    def of(cls, row: ImportRow) -> Self:
        return cls.model_validate(row.model_dump())


def _listed(found: Import) -> dict[str, object]:
    shown = {name: getattr(found, name) for name in ImportListed.model_fields}
    return {
        **shown,
        "rows": RowsOut.model_validate(found.rows.model_dump()),
        "rows_per_second": None if found.rows_per_second is None else round(found.rows_per_second, 1),
        "seconds_left": None if found.seconds_left is None else round(found.seconds_left, 1),
    }
