"""What arrives before it is canonical: one raw item of a source, and the conversations a reader made of it."""

from dataclasses import dataclass, field
from datetime import datetime

from domain.conversation import Frozen, Note
from domain.errors import InvalidInput
from domain.intake import ConversationIn


@dataclass(frozen=True)
class RawItem:
    """One thing as its sender gave it: an email, one JSON payload, one row of a table, a recording's side-car.

    position: 1, 2, 3 … among the items of one file or body. name: the file's, when it came as one.
    """

    body: bytes = field(repr=False)
    media_type: str
    received_at: datetime
    position: int = 1
    name: str | None = None


class Arrival(Frozen):
    """One conversation, or a part of one, in canonical form.

    adds: its messages join those the conversation has already; False: they are all there are.
    links: ids of this message and of those it answers, the thread's root first. A conversation that knows one of them
    is the one meant, whatever `external_id` says; empty when the natural key decides alone.
    """

    conversation: ConversationIn
    adds: bool = False
    links: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True)
class Unreadable:
    """An item, or a part of one, that no conversation could be made of, and why."""

    position: int
    error: InvalidInput
