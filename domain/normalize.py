"""From what was handed in to turns: the rules of the `normalize` stage, without I/O.

Messages become a Thread, a transcript stays a Transcript; both give turns, numbered 1, 2, 3 … in order of time.
What is guessed or left out is said in notes.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from domain.conversation import Channel, Note, Participant, Role
from domain.intake import Automatic, MessageIn, TranscriptIn
from domain.replies import new_text
from domain.tasks import content_hash
from domain.text import clean_text, counted, join_texts
from domain.times import StampContext, read_stamp
from domain.transcript import Message, Segment, Thread, Transcript, Word
from domain.turns import Turn

MERGE_GAP_MS = 1500
"""Segments of one speaker are one turn when nobody else begins in between and the pause is at most this."""

MERGED_CHARACTERS = 1000
"""A turn that has reached this length takes no further segment: a quote should point at something short."""

MIXED = "mixed"
"""Participant id of turns from audio whose speakers are not told apart."""

_AUTOMATIC = {
    Automatic.AUTO_REPLY: "An automatic answer: nobody wrote it by hand, so its words are the system's.",
    Automatic.MAILING_LIST: "It came through a mailing list: written to many, not to this company alone.",
}
_QUOTING_CHANNELS = (Channel.EMAIL, Channel.TICKET)
_REPLY_PREFIX = ("re:", "aw:", "fw:", "fwd:", "wg:", "sv:", "vs:", "tr:", "rv:", "antw:", "odp:", "rif:", "res:")


@dataclass(frozen=True)
class _Placed:
    """A message with the time it is placed by."""

    message: Message
    reliable: bool


def thread(
    messages: Sequence[MessageIn], participants: Sequence[Participant], context: StampContext, channel: Channel
) -> Thread:
    """The messages in order of time, equal times in order of arrival.

    Emails and tickets are read without quoted history and signature. A message of any length stays one message.
    Left out, with a note: messages without text, subject and attachment, and repeats (same id, author and text). An
    automatic message is noted, an automatic answer has the role `system`. A message whose stamp is
    missing or impossible has the time of receipt, or that of the next message that arrived when that is earlier.
    Raises InvalidInput when a stamp cannot be read.
    """
    roles = {participant.id: participant.role for participant in participants}
    notes: Counter[tuple[str, str]] = Counter()
    placed: list[_Placed] = []
    seen: dict[str, tuple[str, str]] = {}
    for position, sent in enumerate(messages):
        text = clean_text(sent.text)
        subject = clean_text(sent.subject) if sent.subject else None
        if not text and not subject and not sent.attachments:
            notes["message_empty", "without text"] += 1
            continue
        identity, own = _identity(sent, text, seen)
        if identity is None:
            notes["message_repeated", "repeated under the same id"] += 1
            continue
        stamp = read_stamp(sent.at, context, field=f"messages[{position}].at")
        read = new_text(text) if channel in _QUOTING_CHANNELS else text
        if read != text:
            own = (*own, Note(code="quotes_removed", detail="Quoted history or a signature is not part of the text."))
        if sent.automatic is not None:
            own = (*own, Note(code=sent.automatic.value, detail=_AUTOMATIC[sent.automatic]))
        message = Message(
            id=identity,
            participant_id=sent.author,
            role=sent.role_among(roles),
            at=stamp.at,
            text_as_sent=sent.text,
            text=read,
            subject=subject or None,
            attachments=sent.attachments,
            automatic=sent.automatic,
            notes=(*own, *stamp.notes),
        )
        placed.append(_Placed(message, stamp.reliable))
    in_order = sorted(_in_their_place(placed), key=lambda message: message.at)
    return Thread(messages=tuple(in_order), notes=(*_summary(in_order), *_left_out(notes)))


def turns_of_thread(read: Thread) -> tuple[Turn, ...]:
    """One turn a message. A subject that is new in the thread stands before the text, with a blank line between."""
    turns: list[Turn] = []
    subjects: set[str] = set()
    for message in read.messages:
        text = message.text
        if message.subject and (topic := _topic(message.subject)) not in subjects:
            subjects.add(topic)
            text = f"{message.subject}\n\n{text}".strip()
        if text:
            turns.append(
                Turn(
                    number=len(turns) + 1,
                    role=message.role,
                    participant_id=message.participant_id,
                    text=text,
                    at=message.at,
                )
            )
    return tuple(turns)


def transcript_of(supplied: TranscriptIn, participants: Sequence[Participant]) -> Transcript:
    """A ready-made transcript in the form engines give: ordered by start, speakers by participant."""
    roles = {participant.id: participant.role for participant in participants}
    segments = [
        Segment(
            start_ms=segment.start_ms,
            end_ms=segment.end_ms,
            text=segment.text,
            participant_id=segment.speaker,
            role=roles.get(segment.speaker, Role.UNKNOWN),
            language=segment.language,
            words=tuple(Word(**word.model_dump()) for word in segment.words),
        )
        for segment in supplied.segments
    ]
    segments.sort(key=lambda segment: (segment.start_ms, segment.end_ms))
    return Transcript(
        engine=supplied.engine,
        model=supplied.model,
        language=supplied.language,
        language_ground="supplied" if supplied.language else "not given",
        segments=tuple(segments),
        duration_ms=max(segment.end_ms for segment in segments),
    )


def turns_of_transcript(transcript: Transcript, participants: Sequence[Participant]) -> tuple[Turn, ...]:
    """Turns in order of start. Consecutive segments of one speaker are one turn, see MERGE_GAP_MS.

    Segments of audio whose speakers are not told apart are never merged: two of them may be two people.
    """
    turns: list[Turn] = []
    for segment in sorted(transcript.segments, key=lambda segment: (segment.start_ms, segment.end_ms)):
        text = clean_text(segment.text)
        if not text:
            continue
        who, role = _speaker(segment, participants)
        last = turns[-1] if turns else None
        if last is not None and _continues(last, segment, who):
            turns[-1] = last.model_copy(
                update={
                    "text": join_texts(last.text, text),
                    "end_ms": max(last.end_ms or 0, segment.end_ms),
                }
            )
            continue
        turns.append(
            Turn(
                number=len(turns) + 1,
                role=role,
                participant_id=who,
                text=text,
                start_ms=segment.start_ms,
                end_ms=segment.end_ms,
                language=segment.language,
            )
        )
    return tuple(turns)


def notes_of_transcript(transcript: Transcript, participants: Sequence[Participant]) -> tuple[Note, ...]:
    """What about the speakers of a transcript is not known."""
    notes = []
    speakers = {_speaker(segment, participants) for segment in transcript.segments}
    if any(who == MIXED for who, _ in speakers) or not transcript.speakers_separated:
        detail = "All speakers share one audio channel; who said what is not known, and no role is guessed."
        notes.append(Note(code="speakers_not_separated", detail=detail))
    elif any(role is Role.UNKNOWN for _, role in speakers):
        detail = "Speakers are told apart, but not who of them is the agent and who the customer."
        notes.append(Note(code="speaker_roles_unknown", detail=detail))
    for role in sorted({role for who, role in speakers if who == role.value}):
        several = sum(1 for participant in participants if participant.role is role)
        if several > 1:
            detail = f"{several} participants have the role {role.value}; which of them spoke is not known."
            notes.append(Note(code="speaker_not_identified", detail=detail))
    empty = sum(1 for segment in transcript.segments if not clean_text(segment.text))
    if empty:
        notes.append(Note(code="segment_empty", detail=f"{counted(empty, 'segment')} without text left out."))
    return tuple(notes)


def _identity(sent: MessageIn, text: str, seen: dict[str, tuple[str, str]]) -> tuple[str | None, tuple[Note, ...]]:
    """The message's id, None when it is a repeat; and what is to be said about the id."""
    content = (sent.author, text)
    notes: tuple[Note, ...] = ()
    if sent.id is None:
        base = f"sha256:{content_hash([sent.author, sent.at, text])[:32]}"
        notes = (Note(code="message_id_missing", detail="The id is made from author, time and text."),)
    else:
        base = sent.id
        if seen.get(base) == content:
            return None, ()
        if base in seen:
            notes = (Note(code="message_id_reused", detail="Another message has the same id; this one got a suffix."),)
    identity, count = base, 1
    while identity in seen:
        count += 1
        identity = f"{base}#{count}"
    seen[identity] = content
    return identity, notes


def _in_their_place(placed: Sequence[_Placed]) -> list[Message]:
    """Messages without a reliable time, moved up to the next one that arrived after them."""
    result: list[Message] = []
    bound: datetime | None = None
    for entry in reversed(placed):
        message = entry.message
        if entry.reliable:
            bound = message.at if bound is None else min(bound, message.at)
        elif bound is not None and bound < message.at:
            message = message.model_copy(update={"at": bound})
        result.append(message)
    result.reverse()
    return result


def _summary(messages: Iterable[Message]) -> list[Note]:
    """One note per code for the whole thread: the first message's words, and how many messages it is about."""
    first: dict[str, Note] = {}
    count: Counter[str] = Counter()
    for message in messages:
        for note in message.notes:
            first.setdefault(note.code, note)
            count[note.code] += 1
    return [
        note if count[code] == 1 else Note(code=code, detail=f"{counted(count[code], 'message')}; one: {note.detail}")
        for code, note in first.items()
    ]


def _left_out(notes: Counter[tuple[str, str]]) -> list[Note]:
    return [
        Note(code=code, detail=f"{counted(count, 'message')} {why} left out.") for (code, why), count in notes.items()
    ]


def _topic(subject: str) -> str:
    topic = subject.strip().lower()
    while topic.startswith(_REPLY_PREFIX):
        topic = topic.split(":", 1)[1].strip()
    return topic


def _speaker(segment: Segment, participants: Sequence[Participant]) -> tuple[str, Role]:
    """(participant id, role): the participant who is named or the only one of the segment's role."""
    for participant in participants:
        if participant.id == segment.participant_id:
            return participant.id, participant.role
    role = segment.role or Role.UNKNOWN
    if role is Role.UNKNOWN:
        return (segment.participant_id or (f"speaker-{segment.speaker}" if segment.speaker else MIXED)), role
    of_role = [participant.id for participant in participants if participant.role is role]
    return (of_role[0] if len(of_role) == 1 else role.value), role


def _continues(last: Turn, segment: Segment, who: str) -> bool:
    return (
        last.participant_id == who != MIXED
        and last.language == segment.language
        and segment.start_ms - (last.end_ms or 0) <= MERGE_GAP_MS
        and len(last.text) < MERGED_CHARACTERS
    )
