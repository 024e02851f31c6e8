"""The report of an import: which rows share a transaction, and the lines that say what became of each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from domain.arrivals import Arrival
from domain.errors import InvalidInput, ParleyError
from domain.imports import ImportRow, RowOutcome, RowProblem, Volumes, problems_of, with_volume
from domain.mapping import Format
from services.accept_many import Landed
from services.import_reading import ReadRow

JOINED_AT_ONCE = 50
"""Rows that join what is there are not accepted together with their checkpoint; so many of them share one."""


@dataclass
class Chunk:
    """Rows that share a checkpoint. joins: they join what is there, or each other."""

    joins: bool
    rows: list[ReadRow] = field(default_factory=list)
    keys: set[tuple[str, str]] = field(default_factory=set)


def chunks(rows: Sequence[ReadRow]) -> Iterator[Chunk]:
    """The rows in their order. In a chunk that is accepted together no natural key occurs twice."""
    chunk: Chunk | None = None
    for row in rows:
        keys = [(arrival.conversation.source, arrival.conversation.external_id) for arrival in row.arrivals]
        joins = len(set(keys)) < len(keys) or any(arrival.adds or arrival.links for arrival in row.arrivals)
        if chunk is not None and (_is_full(chunk) or (keys and (joins != chunk.joins or chunk.keys & set(keys)))):
            yield chunk
            chunk = None
        chunk = chunk or Chunk(joins)
        chunk.rows.append(row)
        chunk.keys |= set(keys) if not joins else set()
    if chunk is not None:
        yield chunk


def _is_full(chunk: Chunk) -> bool:
    return chunk.joins and len(chunk.rows) >= JOINED_AT_ONCE


def at_home(row: ReadRow, source: str, form: Format, *, named: bool) -> ReadRow:
    """The row's conversations as the import's source's own. named: the caller named the source; a canonical row that
    names another one is refused then, and without it keeps its own."""
    try:
        return replace(row, arrivals=tuple(_of_source(arrival, source, form, named) for arrival in row.arrivals))
    except InvalidInput as error:
        return replace(row, arrivals=(), error=error)


def _of_source(arrival: Arrival, source: str, form: Format, named: bool) -> Arrival:
    intake = arrival.conversation
    if intake.source == source:
        return arrival
    if form is Format.CANONICAL and "source" in intake.model_fields_set:
        if not named:
            return arrival
        raise InvalidInput.of("source", f"is another than the import's, {source}")
    return arrival.model_copy(update={"conversation": intake.model_copy(update={"source": source})})


def lines(rows: Sequence[ReadRow], landed: Sequence[Landed], volumes: Volumes) -> tuple[list[ImportRow], Volumes]:
    """A line an arrival, or one for a row that gave none; and the volumes with what is to be analysed of them.

    landed: one for each arrival of the rows, in order.
    """
    made: list[ImportRow] = []
    answers = iter(landed)
    for row in rows:
        if row.error is not None:
            made.append(_failed(row, 1, row.error))
        for part, arrival in enumerate(row.arrivals, start=1):
            one = next(answers)
            if one.outcome is None:
                made.append(_failed(row, part, one.error))
                continue
            outcome = RowOutcome(one.outcome.value)
            if outcome is not RowOutcome.UNCHANGED:
                volumes = with_volume(volumes, arrival)
            made.append(
                ImportRow(
                    number=row.number,
                    part=part,
                    name=row.name,
                    outcome=outcome,
                    conversation_id=one.conversation_id,
                    revision=one.revision,
                )
            )
    return made, volumes


def _failed(row: ReadRow, part: int, error: ParleyError | None) -> ImportRow:
    if isinstance(error, InvalidInput):
        problems = problems_of(error)
    else:
        problems = (RowProblem(field="row", reason=error.message[:500] if error else "cannot be accepted"),)
    return ImportRow(
        number=row.number,
        part=part,
        name=row.name,
        outcome=RowOutcome.FAILED,
        code=error.code if error else None,
        problems=problems,
    )
