"""How the command line shows things. Conversation text is never taken for markup."""

import json
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

import typer
from pydantic import BaseModel
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from api.schemas.conversations import ConversationOut
from api.schemas.explain import ExplanationOut
from api.schemas.search import HitOut
from api.schemas.sources import EventOut
from api.schemas.values import ValueOut
from api.schemas.words import TurnOut, WordsOut
from domain.conversation import Role
from domain.errors import ParleyError
from domain.fields import FieldScalar
from domain.values import EvidenceState, ValueKind

out = Console()
err = Console(stderr=True)

_ROLE_STYLES = {Role.CUSTOMER: "cyan", Role.AGENT: "green", Role.BOT: "magenta", Role.UNKNOWN: "yellow"}
_STATUS_STYLES = {
    "completed": "green",
    "completed_with_gaps": "yellow",
    "parked": "yellow",
    "failed": "red",
}


def fail(error: ParleyError) -> NoReturn:
    """Tells what went wrong and ends with 1."""
    err.print(Text(f"{error.title}: {error.message}", "red"))
    raise typer.Exit(1)


def as_json(answer: BaseModel | Sequence[BaseModel]) -> None:
    """Machine-readable: one object, or one a line for several."""
    for item in [answer] if isinstance(answer, BaseModel) else answer:
        print(item.model_dump_json())


def print_json(answer: dict[str, Any]) -> None:
    """One object a line."""
    print(json.dumps(answer, ensure_ascii=False))


def conversation_head(conversation: ConversationOut) -> RenderableType:
    """One line of what it is, and its notes."""
    style = _STATUS_STYLES.get(conversation.status.value, "")
    reason = f" ({conversation.status_reason})" if conversation.status_reason else ""
    head = Text.assemble(
        (conversation.external_id, "bold"),
        f"  {conversation.channel.value}  {conversation.started_at:%Y-%m-%d %H:%M}  ",
        (f"{conversation.status.value}{reason}", style),
        (f"  {conversation.id}", "dim"),
    )
    notes = [Text(f"note: {note.detail}", "dim") for note in conversation.notes]
    return Group(head, *notes)


def turns(words: WordsOut, limit: int | None = None) -> RenderableType:
    """Numbered turns with their time and role; `limit` leaves the middle out."""
    table = Table.grid(padding=(0, 1))
    table.add_column(justify="right", style="dim")
    table.add_column(style="dim")
    table.add_column()
    table.add_column(overflow="fold")
    shown = list(words.turns)
    if limit is not None and len(shown) > limit:
        shown = [*shown[: limit - 1], shown[-1]]
    last = 0
    for turn in shown:
        if turn.number > last + 1:
            table.add_row("", "", "", Text(f"… {turn.number - last - 1} more turns", "dim"))
        last = turn.number
        table.add_row(
            str(turn.number),
            _time(turn),
            Text(turn.role.value, _ROLE_STYLES.get(turn.role, "dim")),
            Text(turn.text),
        )
    return table


def _time(turn: TurnOut) -> str:
    if turn.start_ms is not None:
        return f"{turn.start_ms // 60_000}:{turn.start_ms // 1000 % 60:02}"
    return f"{turn.at:%H:%M:%S}" if turn.at else ""


def values(found: Iterable[ValueOut]) -> RenderableType:
    """Each value with the words it rests on, and a mark where they do not hold."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column(overflow="fold", ratio=2)
    table.add_column(overflow="fold", ratio=3)
    for value in found:
        if value.kind is ValueKind.UNKNOWN:
            table.add_row(value.label, Text("unknown", "dim"), Text(value.explanation, "dim"))
            continue
        quotes = Text("\n").join(
            Text.assemble(("“" + quote.quote + "”", "italic"), (f"  turn {quote.turn}", "dim"))
            for quote in value.evidence
        )
        if value.searched is not None:
            words = ", ".join(f"“{word}”" for word in value.searched.words)
            quotes.append(f"nobody said {words} in turns {value.searched.first} to {value.searched.last}", "italic")
        if value.evidence_state is EvidenceState.UNSUPPORTED:
            quotes.append("\nevidence does not hold", "yellow")
        if value.suspect_turns:
            turns = ", ".join(map(str, value.suspect_turns))
            quotes.append(f"\nthe conversation gives orders to a model in turn {turns}", "yellow")
        table.add_row(value.label, Text(scalar(value.value)), quotes)
    return table


def scalar(value: FieldScalar | None) -> str:
    """A value as a person reads it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple | list):
        return ", ".join(value)
    return "unknown" if value is None else str(value)


def explanation(found: ExplanationOut) -> RenderableType:
    """The answer in words, then what is said of each field."""
    table = Table.grid(padding=(0, 2))
    for column in ("bold", "", "dim"):
        table.add_column(style=column, overflow="fold")
    for field in found.fields:
        reason = f" [{field.reason}]" if field.reason else ""
        table.add_row(field.label, Text(f"{field.state.value}{reason}"), Text(f"{field.words} {field.remedy}".strip()))
    parts: list[RenderableType] = [Text(found.answer)]
    if found.remedy:
        parts.append(Text(found.remedy, "dim"))
    return Group(*parts, Padding(table, (1, 0, 0, 2)))


def event(found: EventOut) -> RenderableType:
    """What became of an event, and what is wrong with it."""
    style = {"received": "green", "dead_lettered": "red"}.get(found.state.value, "yellow")
    lines = [Text.assemble((found.state.value, style), f"  event {found.id}")]
    for item in found.items:
        if item.conversation_id is not None:
            lines.append(Text(f"  item {item.position}: {item.outcome} {item.conversation_id}"))
        lines += [Text(f"  item {item.position}: {e.field}: {e.reason}", "red") for e in item.errors]
    return Group(*lines)


def hit(found: HitOut) -> RenderableType:
    """A search hit with its words marked."""
    lines = []
    for fragment in found.fragments:
        text = Text(fragment.text.replace("\n", " "))
        for span in fragment.spans:
            text.stylize("bold reverse", span.start, span.end)
        lines.append(Text.assemble((f"  turn {fragment.turn} {fragment.role.value}: ", "dim"), text))
    row = found.conversation
    head = Text.assemble(
        (row.external_id, "bold"), f"  {row.channel.value}  {row.started_at:%Y-%m-%d}  ", (row.id, "dim")
    )
    return Group(head, *lines)
