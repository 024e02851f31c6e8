"""Small emails for tests, and how they are read."""

from domain.arrivals import Arrival
from domain.mapping import Format, SourceMapping
from tests.support.formats import arrivals

OURS = SourceMapping(own_addresses=("support@acme.example", "staff.acme.example"))


def read(body: bytes, mapping: SourceMapping | None = OURS) -> Arrival:
    (arrival,) = arrivals(Format.EMAIL, body, mapping)
    return arrival


def message(body: bytes = b"It broke.", /, **headers: str) -> bytes:
    """A small email; headers are added, or replace the usual one of the same name (None removes it)."""
    usual = {
        "From": "Ann One <ann@example.com>",
        "To": "support@acme.example",
        "Subject": "Kettle",
        "Date": "Mon, 2 Nov 2026 10:00:00 +0100",
        "Message-ID": "<1@example.com>",
    }
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{name}: {value}" for name, value in {**usual, **named}.items() if value]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
