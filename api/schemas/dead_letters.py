"""Dead letters: what failed for good, kept until somebody enters it again."""

from datetime import datetime

from api.schemas.common import Out
from api.schemas.conversations import Links
from domain.conversation import Stage


class DeadLetterOut(Out):
    id: str
    conversation_id: str
    revision: int
    entry: int
    stage: Stage
    error_type: str
    detail: str
    attempts: int
    first_at: datetime
    last_at: datetime
    redriven_at: datetime | None
    redriven_entry: int | None


class RedrivenOut(Out):
    """The run a re-drive made."""

    dead_letter_id: str
    conversation_id: str
    revision: int
    entry: int
    enter_at: Stage
    links: Links
