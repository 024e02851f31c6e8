"""Turns: what every later stage reads, whatever the channel was.

A *rendition* is one revision's turns. The original rendition holds the words as they were said or sent and is
sealed; the redacted one is what everything else sees. Turn numbers and offsets always refer to the redacted one.
"""

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from domain.conversation import Frozen, Role


class Turn(Frozen):
    """One utterance or message.

    number: 1, 2, 3 … within the rendition. participant_id: the conversation's participant.
    at: time of the message (UTC), None for calls. start_ms/end_ms: position in the call, None for text channels.
    """

    number: int = Field(ge=1)
    role: Role
    participant_id: str
    text: str
    at: datetime | None = None
    start_ms: int | None = None
    end_ms: int | None = None
    language: str | None = None


class MaskKind(StrEnum):
    """What a mask stands for. In the text a mask reads `[card]`, `[name]`, …"""

    NAME = "name"
    EMAIL = "email"
    PHONE = "phone"
    CARD = "card"
    ACCOUNT = "account"
    NATIONAL_ID = "national_id"
    ADDRESS = "address"
    DATE_OF_BIRTH = "date_of_birth"
    PASSWORD = "password"  # noqa: S105 - the kind of a mask, not a secret
    IP_ADDRESS = "ip_address"
    ID_NUMBER = "id_number"


class Mask(Frozen):
    """Where the redacted text has a mask and what it hides: part of the sealed map, never shown with it.

    start/end are character offsets in the redacted turn; `original` is the hidden text.
    """

    turn: int
    start: int
    end: int
    kind: MaskKind
    original: str


class Redaction(Frozen):
    """The outcome of redacting a rendition: same numbers, masked text, and the map that leads back.

    detectors: which kinds of detector looked ("patterns", "names:en"); names_detected is False for a language
    without a name detector, and then the text may go to no external engine unless the tenant allows it.
    """

    turns: tuple[Turn, ...]
    masks: tuple[Mask, ...]
    redactor: str
    detectors: tuple[str, ...]
    names_detected: bool
