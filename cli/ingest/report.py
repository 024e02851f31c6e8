"""What became of every row, on the screen and in a file."""

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.text import Text

from api.schemas.imports import EstimateOut, ImportOut, ImportRowOut
from cli import output
from domain.imports import RowOutcome

SHOWN = 20
"""Bad rows shown on the screen; all of them are in the file."""


@dataclass(frozen=True)
class Line:
    """A row of a file, or a file that is one conversation, or one that could not be taken. row 0: the whole file.

    outcome: of the row; `part` for a file that belongs to a call, `skipped` for one that is not read.
    """

    file: str
    row: int
    outcome: str
    conversation: str | None = None
    field: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Part:
    """A file that is a part of a call, and as what."""

    file: str
    what: str

    def of(self, call: str) -> str:
        return f"{self.what} of the call {call}"


def lines_of(
    row: ImportRowOut, file: str, names: Sequence[str], parts: Sequence[Sequence[Part]] = ()
) -> Iterator[Line]:
    """One a problem; `names` are those of the rows, when several files were packed into one. Then one for each of the
    `parts` a row was made of."""
    name = row.name or (names[row.number - 1] if row.number <= len(names) else file)
    if not row.problems:
        yield Line(name, row.number, row.outcome.value, row.conversation_id)
    for problem in row.problems:
        yield Line(name, row.number, row.outcome.value, None, problem.field, problem.reason)
    for part in parts[row.number - 1] if row.number <= len(parts) and row.part == 1 else ():
        yield Line(part.file, row.number, "part", row.conversation_id, reason=part.of(name))


class Report:
    """Takes lines as they come: all of them go to the file if there is one, the first bad ones are kept to be shown."""

    def __init__(self, path: Path | None) -> None:
        self._file = path.open("w", encoding="utf-8", newline="") if path is not None else None
        self._table = None
        if self._file is not None and path is not None and path.suffix.lower() == ".csv":
            self._table = csv.DictWriter(self._file, [f.name for f in fields(Line)])
            self._table.writeheader()
        self._shown: list[Line] = []
        self.bad = 0
        self.handed = False
        """Whether anything was handed in, or at least tried."""

    @property
    def wants_all(self) -> bool:
        """Whether rows that went well are of interest, too."""
        return self._file is not None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, line: Line) -> None:
        self.handed = self.handed or line.outcome != "skipped"
        if line.outcome == RowOutcome.FAILED.value:
            self.bad += 1
            if len(self._shown) < SHOWN:
                self._shown.append(line)
        if self._table is not None:
            self._table.writerow({name: _safe(value) for name, value in asdict(line).items()})
        elif self._file is not None:
            self._file.write(json.dumps(asdict(line), ensure_ascii=False) + "\n")

    def failed(self, file: str, reason: str) -> None:
        """A whole file that could not be taken."""
        self.add(Line(file, 0, RowOutcome.FAILED.value, reason=reason))

    def skipped(self, file: str, reason: str) -> None:
        """A whole file that is not handed in, and needs no mending."""
        self.add(Line(file, 0, "skipped", reason=reason))

    def show_bad(self) -> None:
        """The first bad rows, each with its reason."""
        for line in self._shown:
            where = f"{line.file} row {line.row}" if line.row else line.file
            reason = f"{line.field}: {line.reason}" if line.field else line.reason or ""
            output.err.print(Text(f"{where}: {reason}", "red"))
        if self.bad > len(self._shown):
            more = self.bad - len(self._shown)
            output.err.print(Text(f"… and {more} more; --report FILE has all of them", "red"))


def _safe(value: object) -> object:
    """Spreadsheets take a text that begins so for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def summary(found: ImportOut) -> str:
    """One line of what came of an import."""
    rows = found.rows
    counted = ", ".join(
        f"{count} {name}"
        for name, count in (
            ("created", rows.created),
            ("revised", rows.revised),
            ("unchanged", rows.unchanged),
            ("failed", rows.failed),
        )
        if count
    )
    rate = f", {found.rows_per_second:g} rows/s" if found.rows_per_second else ""
    told = f": {found.detail or found.reason}" if found.reason else ""
    would = "would be " if found.dry_run else ""
    return f"{found.state.value}{told}  {found.rows.read} rows, {would}{counted or 'nothing'}{rate}"


def estimate(found: EstimateOut) -> Iterator[str]:
    """What a dry run guesses, in words."""
    yield f"to analyse: {found.conversations} conversations, about {found.input_tokens:,} tokens in, "
    f"{found.output_tokens:,} out"
    if found.audio_minutes or found.unmeasured_calls:
        unknown = f", and {found.unmeasured_calls} calls of unknown length" if found.unmeasured_calls else ""
        yield f"to hear: {found.audio_minutes:g} minutes{unknown}"
    yield f"cost: about ${found.cost_usd:,.2f}, by {len(found.tasks)} active tasks and the prices of their engines"
