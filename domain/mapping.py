"""How a source's own form becomes the canonical one: data, not code. Evaluated in `engines.formats`."""

from enum import StrEnum

from domain.conversation import Frozen


class Format(StrEnum):
    """What a source sends; the name of its reader in `engines/formats`."""

    CANONICAL = "canonical"
    """The body of `POST /v1/conversations`; nothing to map."""

    JSON = "json"
    """The sender's own JSON, through the source's mapping."""

    TABLE = "table"
    """CSV with a header row, a row a payload, through the source's mapping."""

    EMAIL = "email"
    """RFC 822 messages."""

    RECORDING = "recording"
    """Audio files with a side-car of metadata (JSON, XML or CSV), through the source's mapping."""


class SourceMapping(Frozen):
    """JMESPath expressions from the sender's JSON to the canonical form."""
