"""Which words govern a number or a code: a keyword beside it, or the question it answers."""

import re
from dataclasses import dataclass

from engines.redaction.keywords import Topic
from engines.redaction.topics import Heard

_REACH = 80
"""How many characters a keyword governs what follows it."""

_ANSWER_CHARACTERS = 160
"""A line longer than this is no answer."""

_AFTERWARDS = re.compile(
    r"\s*,?\s*(?:is|was|are|als|ist|es|est|è)\s+(?:my|the|your|her|his|our|meine?|mi|mon|ma)\s", re.IGNORECASE
)
_LINK = re.compile(
    r"(?:[\s:=#,.'\"()-]|\b(?:is|was|are|be|would|should|no|nr|number|num|id|code|digits?|ending|ends|in|with|my|the|of"
    r"|last|first|four|three|its|it's|that's|thats|that|this|on|file|for|uh|um|er|so|yes|also|and|one|ist|lautet|es|est|è"
    r"|isn't|not|new|old|current|starts?|starting|beginning|reads?|says?|here|endet|auf)\b)*",
    re.IGNORECASE,
)
_TOGETHER = re.compile(r"\s?(?:on|for|of|with|and|or|&)?\s?(?:the|my|your|that|this)?\s?", re.IGNORECASE)


@dataclass(frozen=True)
class Governing:
    """topics: what a number or code can be. named: a keyword in the same turn says so, not only the question before.

    linked: nothing but linking words stand between it and the keyword, or it stands in a short line of an answer.
    """

    topics: frozenset[Topic]
    named: bool
    linked: bool


def governing(heard: Heard, start: int, end: int) -> Governing:
    """What says what stands at start..end: a keyword after it (`… is my PIN`), else the nearest keyword before it,
    with those it is joined to (`card on the account`), else the question before."""
    text = heard.turn.text
    following = _AFTERWARDS.match(text, end)
    if following:
        named = [m.topic for m in heard.mentions if following.end() - 1 <= m.start <= following.end() + 25]
        if named:
            return Governing(frozenset(named[:1]), named=True, linked=True)
    near = [m for m in heard.mentions if m.end <= start and start - m.end <= _REACH]
    if not near:
        return Governing(heard.asked, named=False, linked=bool(heard.asked) and _in_short_line(text, start, end))
    topics = {near[-1].topic}
    for earlier, later in zip(near[-2::-1], near[:0:-1], strict=False):
        if not _TOGETHER.fullmatch(text[earlier.end : later.start]):
            break
        topics.add(earlier.topic)
    linked = _LINK.fullmatch(text[near[-1].end : start]) is not None
    if not linked and heard.asked and Topic.ORDER not in topics and _in_short_line(text, start, end):
        return Governing(frozenset(topics) | heard.asked, named=True, linked=True)
    return Governing(frozenset(topics), named=True, linked=linked)


def _in_short_line(text: str, start: int, end: int) -> bool:
    """Whether start..end stands in a line of an answer's length: a long letter is no answer to each old question."""
    line_start = text.rfind("\n", 0, start) + 1
    line_end = text.find("\n", end)
    line = text[line_start : line_end if line_end >= 0 else len(text)]
    return len(line) <= _ANSWER_CHARACTERS
