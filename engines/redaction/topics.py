"""What a turn talks about and what it asks for: the question asked just before decides what an answer holds."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from domain.conversation import Role
from domain.turns import MaskKind, Turn
from engines.redaction.keywords import KEYWORDS, KIND_OF_TOPIC, NO_NAME, REQUEST, Topic

_PATTERNS = {topic: re.compile(rf"\b(?:{words})", re.IGNORECASE) for topic, words in KEYWORDS.items()}
_SENTENCE = re.compile(r"[^.?!\n]+[.?!\n]?|[.?!\n]")
_FILLER_WORDS = 4
_ANSWERING_TURNS = 5


@dataclass(frozen=True)
class Mention:
    """A keyword of a topic in a turn."""

    start: int
    end: int
    topic: Topic


def mentions(text: str) -> list[Mention]:
    """Keywords in order. Of keywords that overlap the longest counts: `account number` is no `number`."""
    found = [
        Mention(match.start(), match.end(), topic)
        for topic, pattern in _PATTERNS.items()
        for match in pattern.finditer(text)
        if match.end() > match.start()
    ]
    barred = [match.span() for match in NO_NAME.finditer(text)]
    kept: list[Mention] = []
    for mention in sorted(found, key=lambda m: (m.start - m.end, m.start)):
        if mention.topic is Topic.NAME and any(s < mention.end and mention.start < e for s, e in barred):
            continue
        if all(mention.end <= other.start or other.end <= mention.start for other in kept):
            kept.append(mention)
    return sorted(kept, key=lambda m: m.start)


def asked(text: str, found: Sequence[Mention]) -> frozenset[Topic]:
    """The topics a turn asks for: those whose keyword stands in a sentence that requests something."""
    topics: set[Topic] = set()
    for sentence in _SENTENCE.finditer(text):
        inside = {m.topic for m in found if sentence.start() <= m.start < sentence.end()}
        if inside and REQUEST.search(sentence.group()):
            topics |= inside
    return frozenset(topics)


@dataclass(frozen=True)
class Heard:
    """A turn with what stands before it. asked: what the other side asked for and is waiting to hear."""

    turn: Turn
    mentions: tuple[Mention, ...]
    asked: frozenset[Topic] = frozenset()


_ANSWERED_ONCE = frozenset({Topic.NAME, Topic.SECRET, Topic.PASSWORD})


class Listener:
    """Follows a conversation and knows which question each turn may answer.

    A question waits for five turns of others that are more than a short remark, until its asker asks for something
    else, or for anything once it was answered. Turns of one asker in a row add up (`the order id and email` /
    `please`). Where speakers are not told apart anybody may answer.
    """

    def __init__(self) -> None:
        self._topics: frozenset[Topic] = frozenset()
        self._asker = ""
        self._answers_left = 0
        self._unanswered = False
        self._answered: frozenset[Topic] = frozenset()

    def hear(self, turn: Turn) -> Heard:
        """The next turn, with what it may answer."""
        found = tuple(mentions(turn.text))
        waiting: frozenset[Topic] = frozenset()
        if self._topics and (turn.participant_id != self._asker or turn.role is Role.UNKNOWN):
            waiting = self._topics
            short = len(turn.text.split()) <= _FILLER_WORDS and not any(map(str.isdigit, turn.text))
            self._answers_left -= not short
            self._unanswered = False
        topics = asked(turn.text, found)
        if topics:
            adds = self._unanswered and self._asker == turn.participant_id
            self._topics = topics | self._topics if adds else topics
            self._asker = turn.participant_id
            self._answers_left = _ANSWERING_TURNS
            self._unanswered = True
            self._answered = frozenset()
        elif self._answers_left <= 0:
            self._topics = frozenset()
        elif turn.participant_id == self._asker and "?" in turn.text:  # on to something else
            self._topics -= self._answered
        return Heard(turn, found, waiting)

    def answered(self, heard: Heard, kinds: Collection[MaskKind]) -> None:
        """Says which kinds were found in a turn: names and secrets are given once."""
        if heard.asked:
            given = {topic for topic in heard.asked if KIND_OF_TOPIC.get(topic) in kinds}
            self._answered |= given
            self._topics -= given & _ANSWERED_ONCE
