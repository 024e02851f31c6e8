"""RFC 822 messages: one email is one message of a thread."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import BinaryIO

from domain.arrivals import Arrival, RawItem
from domain.conversation import Channel, Direction, Role
from domain.errors import InvalidInput
from domain.intake import MAX_ATTACHMENTS, MAX_MESSAGE_CHARACTERS, AttachmentIn, Automatic, ConversationIn, MessageIn
from domain.mapping import SourceMapping
from engines.formats.addresses import Address, OwnAddresses, author_of, recipients_of, sender_of
from engines.formats.automatic import automatic_of, is_broadcast
from engines.formats.html import html_text
from engines.formats.mailbox import LARGEST_EMAIL, messages
from engines.formats.mime import Cutter, Head, Part
from engines.formats.notes import Notes
from engines.formats.people import People
from engines.formats.values import cut, id_of, mail_date

MEDIA_TYPE = "message/rfc822"
MOST_RECIPIENTS = 20
MOST_LINKS = 100
MOST_TEXT = 8 * 1024 * 1024
"""Bytes of all text parts together, as sent."""

_TELLING = (
    "from", "sender", "to", "subject", "date", "message-id", "received", "return-path", "mime-version", "content-type",
    "in-reply-to", "references", "delivered-to",
)  # fmt: skip
_MESSAGE_ID = re.compile(r"<([^<>\s]{1,1000})>")
_TEXTS = ("text/plain", "text/html")


class EmailReader:
    """Fulfils `engines.protocols.FormatReader`. An item is one message; a mailbox (mbox) is cut into its messages.

    Of a mapping only `own_addresses` is read. Raises InvalidInput for what has none of the headers an email has.
    """

    def items(self, body: BinaryIO, *, media_type: str, received_at: datetime, name: str | None) -> Iterator[RawItem]:
        for position, message in enumerate(messages(body), start=1):
            yield RawItem(message, MEDIA_TYPE, received_at, position, name)

    def read(self, item: RawItem, mapping: SourceMapping | None) -> Sequence[Arrival]:
        if not item.body.strip():
            raise InvalidInput.of("body", "is empty")
        own = OwnAddresses(mapping.own_addresses if mapping is not None else ())
        return (_Email(item.body[:LARGEST_EMAIL], own).arrival(),)


class _Email:
    """Reads one message."""

    def __init__(self, data: bytes, own: OwnAddresses) -> None:
        cutter = Cutter(data)
        self._root = cutter.message()
        self._own = own
        self._notes = Notes()
        self._read: dict[int, str] = {}
        self._left = MOST_TEXT
        if not any(name in self._head for name in _TELLING):
            raise InvalidInput.of("body", "is no email: it has none of the headers an email has")
        if cutter.broken:
            self._notes.add("email_damaged", "The message is not built as an email should be; read as far as it goes.")
        if cutter.left_out:
            self._notes.add("email_parts_left_out", "The message has more parts, or deeper ones, than are read.")

    @property
    def _head(self) -> Head:
        return self._root.head

    def arrival(self) -> Arrival:
        sender, author = sender_of(self._head), author_of(self._head, self._own)
        by_us = author is not None and author.address in self._own
        sent_by_us = sender is not None and sender.address in self._own
        automatic = automatic_of(self._head, self._own, by_us=sent_by_us)
        people = People()
        role = self._role(author, automatic)
        if author is None:
            self._notes.add("sender_unknown", "The message does not say who wrote it.")
        shown = author or Address("unknown", None)
        writer = people.add(shown.address, role, shown.name, speaks=True)
        recipients = self._recipients(people)
        text, attachments = self._text(), self._attachments()
        links = self._links(text)
        message = MessageIn(
            id=links[-1],
            author=writer,
            at=self._date(),
            text=text,
            subject=cut(self._head.text("subject"), 2000) or None,
            attachments=attachments,
            automatic=automatic,
        )
        conversation = ConversationIn(
            external_id=links[0],
            channel=Channel.EMAIL,
            direction=self._direction(by_us, recipients),
            participants=tuple(people.all(self._notes)),
            messages=(message,),
        )
        return Arrival(conversation=conversation, adds=True, links=links, notes=self._notes.all())

    def _role(self, author: Address | None, automatic: Automatic | None) -> Role:
        if author is None:
            return Role.UNKNOWN
        if automatic is Automatic.MAILING_LIST and is_broadcast(self._head):
            return Role.SYSTEM
        return self._own.role_of(author.address)

    def _recipients(self, people: People) -> list[Address]:
        found = recipients_of(self._head)
        for one in found[:MOST_RECIPIENTS]:
            people.add(one.address, self._own.role_of(one.address), one.name)
        if len(found) > MOST_RECIPIENTS:
            detail = f"Of {len(found):,} recipients the first {MOST_RECIPIENTS} are kept."
            self._notes.add("recipients_left_out", detail)
        return found

    def _direction(self, by_us: bool, recipients: Sequence[Address]) -> Direction | None:
        if not self._own:
            return None
        if not by_us:
            return Direction.INBOUND
        within = bool(recipients) and all(one.address in self._own for one in recipients)
        return Direction.INTERNAL if within else Direction.OUTBOUND

    def _date(self) -> str | None:
        given = self._head.get("date")
        stamp = mail_date(given) if given else None
        if given and stamp is None:
            self._notes.add("date_unreadable", "The message's date cannot be read.")
        return stamp

    def _links(self, text: str) -> tuple[str, ...]:
        """The thread's root, the messages between, and the message itself, as ids without their brackets."""
        own = next(iter(_ids(self._head.get("message-id"))), None) or _bare_id(self._head.get("message-id"))
        if own is None:
            content = "\x1f".join((self._head.get("from"), self._head.get("date"), self._head.get("subject"), text))
            own = f"sha256:{hashlib.sha256(content.encode(errors='surrogatepass')).hexdigest()[:32]}"
            detail = "The message has no Message-ID; its id is made from sender, date, subject and text."
            self._notes.add("message_id_missing", detail)
        answered = [*_ids(self._head.get("references")), *_ids(self._head.get("in-reply-to"))]
        chain = list(dict.fromkeys(one for one in answered if one != own))
        if len(chain) > MOST_LINKS:
            chain = [*chain[: MOST_LINKS // 2], *chain[-MOST_LINKS // 2 :]]
        return tuple(id_of(one, 400) or own for one in (*chain, own))

    # -- the text and what comes with it ----------------------------------------------------------------------

    def _text(self) -> str:
        texts = [text for part in self._bodies(self._root) if (text := self._part_text(part)).strip()]
        text = "\n\n".join(texts) if len(texts) > 1 else "".join(texts)
        if len(text) > MAX_MESSAGE_CHARACTERS:
            detail = f"The text is longer than {MAX_MESSAGE_CHARACTERS:,} characters; the rest is left out."
            self._notes.add("message_cut", detail)
        if self._root.content_type in ("multipart/encrypted", "application/pkcs7-mime"):
            self._notes.add("email_encrypted", "The message is encrypted for its recipient; its text cannot be read.")
        return text[:MAX_MESSAGE_CHARACTERS]

    def _bodies(self, part: Part) -> list[Part]:
        """The parts a reader would see as the text, in order."""
        kind = part.content_type
        if not part.children:
            return [part] if _is_text(part, self._root) else []
        if kind == "multipart/alternative":
            choices = [self._bodies(child) for child in part.children]
            choices = [bodies for bodies in choices if any(self._part_text(body).strip() for body in bodies)]
            plain = [bodies for bodies in choices if all(body.content_type == "text/plain" for body in bodies)]
            return (plain or choices or [[]])[0]
        if kind in ("multipart/related", "multipart/report", "multipart/signed"):
            return next((bodies for child in part.children if (bodies := self._bodies(child))), [])
        return [body for child in part.children for body in self._bodies(child)]

    def _part_text(self, part: Part) -> str:
        if id(part) not in self._read:
            self._read[id(part)] = self._read_part(part)
        return self._read[id(part)]

    def _read_part(self, part: Part) -> str:
        length = part.end - part.start
        if length > self._left:
            self._notes.add("email_parts_left_out", "The message has more text than is read.")
            return ""
        self._left -= length
        read = part.text()
        if read.guessed:
            self._notes.add(
                "charset_guessed", f"The text is read as {read.charset}; what its sender says does not fit."
            )
        text = read.text.replace("\0", "")
        return html_text(text) if part.content_type == "text/html" else text.replace("\r\n", "\n")

    def _attachments(self) -> tuple[AttachmentIn, ...]:
        found = [part for part in self._root.walk() if not part.children and not _is_text(part, self._root)]
        found = [part for part in found if not part.content_type.startswith("multipart/")]
        if len(found) > MAX_ATTACHMENTS:
            self._notes.add("attachments_left_out", f"Only the first {MAX_ATTACHMENTS} attachments are listed.")
        return tuple(_attachment(part) for part in found[:MAX_ATTACHMENTS])


def _is_text(part: Part, root: Part) -> bool:
    """Whether a part is text to be read, not a file that came with it; a multipart that cannot be cut is text."""
    kind = part.content_type
    if kind.startswith("multipart/"):
        return part is root and not part.children
    return kind in _TEXTS and not part.is_attached and (part is root or part.file_name is None)


def _attachment(part: Part) -> AttachmentIn:
    kind = part.content_type
    name = (part.file_name or "").replace("\\", "/").rsplit("/", 1)[-1].strip()
    usual = "message.eml" if kind == "message/rfc822" else "attachment"
    return AttachmentIn(name=cut(name, 400) or usual, media_type=cut(kind, 200), size=part.size)


def _ids(value: str) -> list[str]:
    return _MESSAGE_ID.findall(value)


def _bare_id(value: str) -> str | None:
    """An id its program forgot the brackets of."""
    bare = value.strip().strip("<>").split()
    return bare[0] if bare and "@" in bare[0] else None
