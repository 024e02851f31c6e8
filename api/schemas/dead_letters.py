"""Dead letters: what failed for good, kept until somebody enters it again."""

from datetime import datetime

from api.schemas.common import Out
from api.schemas.conversations import Links
from api.schemas.sources import EventOut
from domain.conversation import Stage


class DeadLetterOut(Out):
    """About a run of a conversation, or about an event of a source: then event_id and source are given instead."""

    id: str
    conversation_id: str | None
    revision: int | None
    entry: int | None
    event_id: str | None
    source: str | None
    stage: Stage
    error_type: str
    detail: str
    attempts: int
    first_at: datetime
    last_at: datetime
    redriven_at: datetime | None
    redriven_entry: int | None


class RedrivenOut(Out):
    """The run a re-drive made; or what became of an event that was read again."""

    dead_letter_id: str
    conversation_id: str | None = None
    revision: int | None = None
    entry: int | None = None
    enter_at: Stage
    links: Links | None = None
    event: EventOut | None = None
