"""What the demo shows in the end, for people, and as `.parley/demo-report.json`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.rule import Rule
from rich.text import Text

from api.schemas.conversations import ConversationOut
from api.schemas.search import SearchOut
from api.schemas.values import FieldsOut, ValueOut
from cli import output
from cli.client import ParleyClient
from domain.conversation import Channel, Status
from domain.values import EvidenceState, ValueKind

QUERY = "refund"
SHOWN_HITS = 3
SHOWN_TURNS = 8
FIRST_FIELDS = ("csat", "sentiment", "contact_reason", "churn_risk", "summary", "next_actions")
"""What is told first of each conversation; other fields follow."""


@dataclass(frozen=True)
class DemoResult:
    """Everything that came out."""

    conversations: Sequence[ConversationOut]
    fields: Mapping[str, FieldsOut]
    search: SearchOut
    workflows_completed: int
    addresses: Mapping[str, str]
    setup_seconds: float
    pipeline_seconds: float

    @property
    def succeeded(self) -> bool:
        return bool(self.conversations) and all(c.status is Status.COMPLETED for c in self.conversations)

    def as_json(self) -> dict[str, Any]:
        """The report; `unknown` is not counted among the field values."""
        values = [v for f in self.fields.values() for v in f.effective]
        known = [v for v in values if v.kind is not ValueKind.UNKNOWN]
        return {
            "channels": {channel.value: self._channel(channel) for channel in Channel},
            "field_values": len(known),
            "unknown_values": len(values) - len(known),
            "values_with_verified_evidence": sum(v.evidence_state is EvidenceState.VERIFIED for v in known),
            "search": {
                "backend": self.search.backend,
                "query": QUERY,
                "hits": self.search.total if self.search.total is not None else len(self.search.items),
            },
            "temporal": {
                "address": self.addresses.get("temporal", ""),
                "ui": self.addresses.get("temporal_ui", ""),
                "workflows_completed": self.workflows_completed,
            },
            "seconds": {"setup": round(self.setup_seconds, 1), "pipeline": round(self.pipeline_seconds, 1)},
        }

    def _channel(self, channel: Channel) -> dict[str, int]:
        of_channel = [c for c in self.conversations if c.channel is channel]
        return {
            "ingested": len(of_channel),
            "completed": sum(c.status is Status.COMPLETED for c in of_channel),
            "with_values": sum(
                any(v.kind is not ValueKind.UNKNOWN for v in self.fields[c.id].effective) for c in of_channel
            ),
        }


def collect(
    client: ParleyClient,
    conversations: Sequence[ConversationOut],
    *,
    workflows_completed: int,
    addresses: Mapping[str, str],
    setup_seconds: float,
    pipeline_seconds: float,
) -> DemoResult:
    """Asks the API for everything the report tells."""
    return DemoResult(
        conversations=conversations,
        fields={c.id: client.fields(c.id) for c in conversations},
        search=client.search({"query": QUERY, "limit": 20}),
        workflows_completed=workflows_completed,
        addresses=addresses,
        setup_seconds=setup_seconds,
        pipeline_seconds=pipeline_seconds,
    )


def write(path: Path, result: DemoResult) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result.as_json(), indent=2) + "\n", encoding="utf-8")


def show(console: Console, client: ParleyClient, result: DemoResult) -> None:
    """One conversation of each channel in full, the others in a line, a search and an explanation."""
    for channel in Channel:
        of_channel = [c for c in result.conversations if c.channel is channel]
        console.print(Rule(f"{channel.value}: {len(of_channel)} conversations"))
        for position, conversation in enumerate(of_channel):
            console.print(output.conversation_head(conversation))
            found = _known(result.fields[conversation.id])
            if position == 0 and conversation.searchable:
                console.print(Padding(output.turns(client.words(conversation.id), SHOWN_TURNS), (0, 0, 1, 2)))
            if found:
                console.print(Padding(output.values(found if position == 0 else found[:3]), (0, 0, 1, 2)))
    console.print(Rule(f"search: {QUERY}"))
    for hit in result.search.items[:SHOWN_HITS]:
        console.print(output.hit(hit))
    explained = next((c for c in result.conversations if c.skipped), None)
    if explained is not None:
        console.print(Rule(f"explain: {explained.external_id}"))
        console.print(output.explanation(client.explain(explained.id)))
    console.print(Rule())
    console.print(_totals(result))


def show_door(
    console: Console,
    address: str,
    slug: object,
    conversations: Sequence[ConversationOut],
    email: str,
    password: str,
) -> None:
    """Where the pages are, on the days of these conversations, and how to get in. The password is told here and nowhere
    else."""
    began = sorted(conversation.started_at.date() for conversation in conversations)
    days = f"&from={began[0]}&to={began[-1]}" if began else ""
    lines = (("dashboard", f"{address}/dashboard?tenant={slug}{days}"), ("sign in as", email), ("password", password))
    for label, text in lines:
        console.print(Text(f"{label:>12}  {text}"), soft_wrap=True)


def _known(fields: FieldsOut) -> list[ValueOut]:
    order = {key: position for position, key in enumerate(FIRST_FIELDS)}
    known = [v for v in fields.effective if v.kind is not ValueKind.UNKNOWN]
    return sorted(known, key=lambda v: order.get(v.field, len(order)))


def _totals(result: DemoResult) -> Text:
    told = result.as_json()
    ended = "every conversation completed" if result.succeeded else "NOT every conversation completed"
    return Text(
        f"{len(result.conversations)} conversations in {result.pipeline_seconds:.0f} s, {ended}: "
        f"{told['field_values']} values, {told['values_with_verified_evidence']} with verified quotes, "
        f"{told['unknown_values']} honestly unknown."
    )
