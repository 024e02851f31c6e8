"""Content hashes: what makes content "the same again" and so the same revision.

Hashed is what the analysis would read: who said what, in which order, at what time; for audio its bytes and who
speaks on it. Not hashed are metadata, names, ids of messages, the format of stamps and invisible characters.
"""

from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from domain.conversation import Role
from domain.intake import AudioIn, ConversationIn, MessageIn, TranscriptIn
from domain.tasks import content_hash
from domain.text import clean_text
from domain.times import canonical_stamp
from domain.turns import Turn

_FORM = "1"
"""Part of every hash: raised when the canonical form changes, so that old and new hashes never meet by accident."""

_SIGNED_PREFIXES = ("x-amz-", "x-goog-")
_SIGNED = frozenset({"signature", "expires", "policy", "key-pair-id", "awsaccesskeyid", "googleaccessid"})
_SHARED_ACCESS = frozenset({"sig", "se", "st", "sp", "sv", "sr", "spr", "skoid", "sktid", "skt", "ske", "sks", "skv"})


def canonical_turns_hash(intake: ConversationIn, upload_hashes: Mapping[str, str]) -> str:
    """SHA-256 (hex) over the canonical content of a conversation.

    upload_hashes: SHA-256 of each audio upload by its id, and of pulled audio by its URL where it is known already;
    an address that is not known yet counts by itself, less its signature. Raises InvalidInput for an unreadable
    stamp, KeyError for an upload id without hash.
    """
    roles = {participant.id: participant.role for participant in intake.participants}
    content: object
    if intake.messages is not None:
        content = _messages(intake.messages, roles)
    elif intake.transcript is not None:
        content = _segments(intake.transcript, roles)
    else:
        content = _audio(intake.audio or (), upload_hashes)
    return content_hash([_FORM, intake.channel.value, content])


def rendition_hash(turns: Iterable[Turn], redactor: str) -> str:
    """SHA-256 (hex) over redacted turns and the redactor's version: part of the input hash of every task run."""
    said = [[turn.number, turn.role.value, turn.participant_id, turn.text] for turn in turns]
    return content_hash([_FORM, redactor, said])


def _messages(messages: Sequence[MessageIn], roles: Mapping[str, Role]) -> list[object]:
    """[role, author, stamp, text, subject] of each message, sorted by time where every message has one.

    Stamps with and without offset cannot be compared without a zone: a thread that has both keeps its order.
    """
    seen: set[tuple[str, str, str]] = set()
    rows: list[tuple[str | None, object]] = []
    for position, message in enumerate(messages):
        text = clean_text(message.text)
        subject = clean_text(message.subject or "")
        if not text and not subject and not message.attachments:
            continue
        if message.id is not None:
            same = (message.id, message.author, text)
            if same in seen:
                continue
            seen.add(same)
        stamp = canonical_stamp(message.at, field=f"messages[{position}].at")
        rows.append((stamp, [message.role_among(roles).value, message.author, stamp, text, subject]))
    stamps = [stamp for stamp, _ in rows if stamp is not None]
    with_offset = sum(1 for stamp in stamps if stamp.endswith("Z"))
    if len(stamps) == len(rows) and with_offset in (0, len(stamps)):
        rows.sort(key=lambda row: _sort_key(row[0]))
    return [row for _, row in rows]


def _sort_key(stamp: str | None) -> str:
    """Equal length for stamps with and without fractions, so that text order is time order."""
    whole = (stamp or "").removesuffix("Z")
    seconds, _, fraction = whole.partition(".")
    return f"{seconds}.{fraction:0<6}"


def _segments(transcript: TranscriptIn, roles: Mapping[str, Role]) -> list[object]:
    rows = [
        (
            segment.start_ms,
            segment.end_ms,
            roles.get(segment.speaker, Role.UNKNOWN).value,
            segment.speaker,
            clean_text(segment.text),
        )
        for segment in transcript.segments
    ]
    rows.sort(key=lambda row: row[:2])
    return [list(row) for row in rows if row[4]]


def _audio(files: Sequence[AudioIn], upload_hashes: Mapping[str, str]) -> list[object]:
    rows: list[list[object]] = []
    for file in files:
        url = file.url or ""
        if file.id is not None:
            content = f"sha256:{upload_hashes[file.id]}"
        elif url in upload_hashes:
            content = f"sha256:{upload_hashes[url]}"
        else:
            content = f"url:{_unsigned(url)}"
        rows.append([content, file.role.value if file.role else "", list(file.channels), file.offset_ms])
    if all(file.role or file.channels for file in files):
        rows.sort(key=str)
    return list(rows)


def _unsigned(url: str) -> str:
    """The address without the parts that a signed link changes each time it is made."""
    parts = urlsplit(url)
    query = parse_qsl(parts.query, keep_blank_values=True)
    names = {name.lower() for name, _ in query}
    changing: set[str] = set()
    if "signature" in names:
        changing |= _SIGNED
    if "sig" in names:
        changing |= _SHARED_ACCESS
    kept = [
        (name, value)
        for name, value in query
        if name.lower() not in changing and not name.lower().startswith(_SIGNED_PREFIXES)
    ]
    return urlunsplit((parts.scheme.lower(), parts.netloc.lower(), parts.path, urlencode(sorted(kept)), ""))
