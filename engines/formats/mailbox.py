"""A mailbox in mbox form cut into its messages, and a single message."""

import re
from collections.abc import Iterator
from typing import BinaryIO

LARGEST_EMAIL = 64 * 1024 * 1024
"""Bytes of one message that are read; attachments come last, so of a larger one the text is there all the same."""

_LINE = 65_536
_SEPARATOR = re.compile(rb"From \S.{0,200}\d\d:\d\d.{0,60}$|From \S{1,320}\s*$", re.DOTALL)
_ESCAPED = re.compile(rb">+From ")


def messages(body: BinaryIO) -> Iterator[bytes]:
    """The messages of a mailbox, or the one message a body is. Memory is bounded by the largest message."""
    first = body.readline(_LINE)
    if not _SEPARATOR.match(first.rstrip(b"\r\n")):
        rest = body.read(LARGEST_EMAIL - len(first)) if len(first) < LARGEST_EMAIL else b""
        yield first + rest
        return
    yield from _cut(body)


def _cut(body: BinaryIO) -> Iterator[bytes]:
    message = bytearray()
    after_blank, at_start = False, True
    while line := body.readline(_LINE):
        if at_start and after_blank and _SEPARATOR.match(line.rstrip(b"\r\n")):
            yield bytes(message)
            message.clear()
            after_blank = False
            continue
        kept = line[1:] if at_start and _ESCAPED.match(line) else line
        if len(message) + len(kept) <= LARGEST_EMAIL:
            message += kept
        after_blank = at_start and not line.strip()
        at_start = line.endswith(b"\n")
    yield bytes(message)
