"""Threads that arrive in pieces: whatever the order, and however often a piece comes, the same thread.

Joining is commutative, associative and idempotent for messages that have an id or a time, and for participants.
"""

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import UTC, datetime
from hashlib import sha256

from domain.conversation import Direction, Participant, Role
from domain.intake import MAX_PARTICIPANTS, ConversationIn, MessageIn
from domain.text import clean_text
from domain.times import StampContext, canonical_stamp, read_stamp

MAX_LINKS = 100
"""Links of one message that are looked at: the thread's root and the newest."""

Moment = Callable[[str | None], datetime | None]
"""The moment a stamp means (UTC), None when there is none or it cannot be right."""

_Key = tuple[str | None, ...]

_NEVER_IN_FUTURE = datetime(9000, 1, 1, tzinfo=UTC)
_DIGITS = re.compile(r"(\d{1,18})")
_ROLES = {role: rank for rank, role in enumerate((Role.UNKNOWN, Role.CUSTOMER, Role.AGENT, Role.BOT, Role.SYSTEM))}
_SCALARS = ("interaction_id", "queue", "team", "campaign", "language")
_LISTS = ("tags", "dispositions")


def moments(source_zone: str | None, tenant_zone: str) -> Moment:
    """Reads stamps by these zones, not by when they came: the order of arrival must not show.

    Raises InvalidInput when a stamp is no date and time.
    """
    context = StampContext(_NEVER_IN_FUTURE, source_zone, tenant_zone)

    def moment(stamp: str | None) -> datetime | None:
        if stamp is None:
            return None
        read = read_stamp(stamp, context, field="messages.at")
        return read.at if read.reliable else None

    return moment


def kept_links(links: Sequence[str]) -> tuple[str, ...]:
    """Distinct and bounded; the root stays first."""
    distinct = tuple(dict.fromkeys(link.strip() for link in links if link.strip()))
    return distinct if len(distinct) <= MAX_LINKS else (distinct[0], *distinct[1 - MAX_LINKS :])


def link_digest(link: str) -> bytes:
    """What stands for a message id where it is looked up."""
    return sha256(link.encode("utf-8", "surrogatepass")).digest()


def with_times(part: ConversationIn, received_at: datetime) -> ConversationIn:
    """With the time of receipt for messages that have none."""
    at = received_at.isoformat()
    messages = tuple(m if m.at is not None else m.model_copy(update={"at": at}) for m in part.messages or ())
    return part.model_copy(update={"messages": messages})


def joined(whole: ConversationIn, part: ConversationIn, moment: Moment) -> ConversationIn:
    """The thread with a part joined to it; identity and channel are the thread's.

    What a later part says of the conversation goes before what an earlier one says; but its direction is that of its
    first message. Raises ValidationError when the
    whole does not fit (too many messages or participants).
    """
    messages = join_messages(whole.messages or (), part.messages or (), moment)
    body = whole.model_dump()
    body["messages"] = tuple(message.model_dump() for message in messages)
    people = in_order_of(messages, join_participants(whole.participants, part.participants))
    people = bounded_participants(people, {message.author for message in messages})
    body["participants"] = tuple(participant.model_dump() for participant in people)
    newer, older = (whole, part) if is_older(part, whole, moment) else (part, whole)
    for name in _SCALARS:
        body[name] = _first(getattr(newer, name), getattr(older, name))
    body["direction"] = _direction(whole, part, moment)
    for name in _LISTS:
        body[name] = getattr(newer, name) or getattr(older, name)
    body["metadata"] = {**older.metadata, **newer.metadata}
    body["started_at"] = _extreme(min, whole.started_at, part.started_at, moment)
    body["ended_at"] = _extreme(max, whole.ended_at, part.ended_at, moment)
    body["closed"] = _closed(whole, part, moment, grown=len(messages) > len(whole.messages or ()))
    return ConversationIn.model_validate(body)


def join_messages(known: Sequence[MessageIn], more: Sequence[MessageIn], moment: Moment) -> tuple[MessageIn, ...]:
    """Each message once, in order of time when every one has a time; else those that came later come after.

    The same message is: the same id, author and text; without id the same time, author and text, as often as the one
    side has it that has it more often. Messages without id and time are never taken for each other.
    """
    kept: dict[_Key, list[MessageIn]] = {}
    for message in known:
        kept.setdefault(_identity(message, len(kept)), []).append(message)
    fresh: dict[_Key, list[MessageIn]] = {}
    for message in more:
        fresh.setdefault(_identity(message, len(kept) + len(fresh)), []).append(message)
    for key, messages in fresh.items():
        have = kept.setdefault(key, [])
        have.extend(messages if key[0] is not None else messages[len(have) :])
    distinct: list[MessageIn] = []
    for key, messages in kept.items():
        distinct += messages if key[0] is None else [min(messages, key=_preference)]
    times = [moment(message.at) for message in distinct]
    if any(at is None for at in times):
        return tuple(distinct)
    ordered = sorted(zip(times, distinct, strict=True), key=lambda pair: (pair[0], *_tie(pair[1])))
    return tuple(message for _, message in ordered)


def join_participants(known: Iterable[Participant], more: Iterable[Participant]) -> tuple[Participant, ...]:
    """One of each id: a role that is known before one that is not, the fuller name."""
    people: dict[str, Participant] = {}
    for participant in (*known, *more):
        other = people.get(participant.id)
        people[participant.id] = participant if other is None else _one_person(other, participant)
    return tuple(people.values())


def in_order_of(messages: Sequence[MessageIn], people: Sequence[Participant]) -> tuple[Participant, ...]:
    """People in the order in which they first write, then those who do not write."""
    turn = {author: position for position, author in reversed(list(enumerate(m.author for m in messages)))}
    return tuple(sorted(people, key=lambda p: (turn.get(p.id, len(messages)), p.id)))


def bounded_participants(people: Sequence[Participant], writers: Collection[str]) -> tuple[Participant, ...]:
    """No more than a conversation may have, in their order: who writes is kept before who only reads."""
    if len(people) <= MAX_PARTICIPANTS:
        return tuple(people)
    reading = max(0, MAX_PARTICIPANTS - sum(person.id in writers for person in people))
    kept = [person.id for person in people if person.id not in writers][:reading]
    return tuple(person for person in people if person.id in writers or person.id in kept)


def is_older(part: ConversationIn, whole: ConversationIn, moment: Moment) -> bool:
    """Whether the whole knows something later than anything in the part."""
    one, other = as_of(part, moment), as_of(whole, moment)
    return one is not None and other is not None and one < other


def as_of(conversation: ConversationIn, moment: Moment) -> datetime | None:
    """The moment of the last thing that is said of a conversation: its last message, or that it was closed."""
    times = [moment(message.at) for message in conversation.messages or ()]
    if conversation.closed:
        times.append(moment(conversation.ended_at))
    return max((at for at in times if at is not None), default=None)


def _direction(whole: ConversationIn, part: ConversationIn, moment: Moment) -> Direction | None:
    told = [c for c in (whole, part) if c.direction is not None]
    first = {id(c): min((at for m in c.messages or () if (at := moment(m.at))), default=_NEVER_IN_FUTURE) for c in told}
    return min(told, key=lambda c: (first[id(c)], str(c.direction))).direction if told else None


def _closed(whole: ConversationIn, part: ConversationIn, moment: Moment, *, grown: bool) -> bool | None:
    """A later message opens a closed thread again unless it says otherwise; None leaves it to the source."""
    if is_older(part, whole, moment):
        return whole.closed
    if part.closed is not None:
        return part.closed
    later = is_older(whole, part, moment) or as_of(part, moment) is None
    return None if grown and later else whole.closed


def _identity(message: MessageIn, position: int) -> _Key:
    if message.id is not None:
        return (message.id, message.author, clean_text(message.text))
    if message.at is not None:
        return (None, message.author, canonical_stamp(message.at), clean_text(message.text), message.subject)
    return (None, str(position))


def _preference(message: MessageIn) -> tuple[bool, str]:
    return message.at is None, message.model_dump_json()


def _tie(message: MessageIn) -> tuple[tuple[tuple[int, int | str], ...], str]:
    """Of messages of one moment: by id; those without one stay as they came."""
    return ((), "") if message.id is None else (_natural(message.id), message.model_dump_json())


def _natural(text: str) -> tuple[tuple[int, int | str], ...]:
    """Order of ids as people count: m9 before m10."""
    parts = _DIGITS.split(text)
    return tuple((1, int(part)) if at % 2 else (0, part) for at, part in enumerate(parts))


def _one_person(one: Participant, other: Participant) -> Participant:
    names = [p.name for p in (one, other) if p.name]
    addresses = [p.address for p in (one, other) if p.address]
    return Participant(
        id=one.id,
        role=max(one.role, other.role, key=_ROLES.__getitem__),
        name=min(names, key=lambda name: (-len(name), name)) if names else None,
        address=min(addresses) if addresses else None,
    )


def _first(one: object, other: object) -> object:
    return other if one is None else one


def _extreme(
    pick: Callable[..., tuple[datetime, str]], one: str | None, other: str | None, moment: Moment
) -> str | None:
    """The earlier or later of two stamps; one that cannot be right gives way."""
    found = [(at, stamp) for stamp in (one, other) if stamp is not None and (at := moment(stamp)) is not None]
    return pick(found)[1] if found else _text(one, other)


def _text(one: str | None, other: str | None) -> str | None:
    given = sorted(stamp for stamp in (one, other) if stamp is not None)
    return given[0] if given else None
