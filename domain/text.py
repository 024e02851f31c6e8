"""Text as read: what is taken out of a text before anybody reads it, whatever channel it came by.

Cleaning never changes what a person would see, except that it removes what can only mislead: control characters,
invisible characters inside words, overrides of the writing direction. It is idempotent.
"""

import re
import unicodedata
from functools import cache

_LINE_BREAKS = re.compile("\r\n?|[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_SPACES = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
_DROPPED = re.compile(
    "["
    "\x00-\x08\x0e-\x1f\x7f-\x9f"  # control characters except tab and line feed
    "\u00ad\u180e\u200b\u2060-\u2064\ufeff\ufff9-\ufffb"  # invisible: soft hyphen, zero-width space, joiner, marks
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\u206a-\u206f"  # direction marks, embeddings, overrides, isolates
    "\ufdd0-\ufdef\ufffe\uffff"  # noncharacters
    "]|[" + "".join(chr(plane << 16 | 0xFFFE) + chr(plane << 16 | 0xFFFF) for plane in range(1, 17)) + "]"
)
_SURROGATES = re.compile("[\ud800-\udfff]")
_TAGS = re.compile("(\U0001f3f4[\U000e0020-\U000e007e]+\U000e007f)|[\U000e0000-\U000e007f]")
_JOINERS = re.compile("[\u200c\u200d]+")
_PLAIN = re.compile(r"[\n\t -~]*")

MARKS_KEPT = 30
"""Longest run of combining marks kept: the bound of Unicode's stream-safe text format (UAX #15). Composing takes
time with the square of a run, and no script needs more than a few."""

_JOINING_FROM = 0x0590
"""Scripts and emoji in which joiners have a meaning lie from here on; in Latin, Greek and Cyrillic they are junk."""


def clean_text(text: str) -> str:
    """The text as read: NFC, one kind of line break and of space, nothing invisible that has no meaning.

    Zero-width joiners stay inside emoji and in scripts that use them. Lone surrogates become U+FFFD.
    Blank ends are cut. The result of cleaning a clean text is the same text.
    """
    if _PLAIN.fullmatch(text):
        return text.strip()
    text = _SURROGATES.sub("\ufffd", text)
    previous = None
    while text != previous:  # composing can bring together what was apart; a second round is rarely needed
        previous = text
        text = _clean_once(text)
    return text


def _clean_once(text: str) -> str:
    text = _LINE_BREAKS.sub("\n", text)
    text = _SPACES.sub(" ", text)
    text = _DROPPED.sub("", text)
    text = _TAGS.sub(lambda found: found.group(1) or "", text)
    text = _JOINERS.sub(_joiner_or_nothing, text)
    text = _mark_runs().sub(r"\1", text)
    return unicodedata.normalize("NFC", text).strip()


@cache
def _mark_runs() -> re.Pattern[str]:
    """Runs of combining marks that are too long: group 1 is what stays."""
    last_mark = 0x1E94A
    marks = "".join(chr(point) for point in range(0x300, last_mark + 1) if unicodedata.combining(chr(point)))
    return re.compile(f"([{marks}]{{{MARKS_KEPT}}})[{marks}]+")


def _joiner_or_nothing(found: re.Match[str]) -> str:
    before = found.string[found.start() - 1 : found.start()] if found.start() else ""
    after = found.string[found.end() : found.end() + 1]
    if all(side and ord(side) >= _JOINING_FROM and not side.isspace() for side in (before, after)):
        return found.group(0)[0]
    return ""


_NO_SPACE_SCRIPTS = re.compile("[\u0e00-\u0eff\u3000-\u30ff\u3400-\u9fff\uff00-\uffef]")


def join_texts(first: str, second: str) -> str:
    """Two stretches of one speaker as one text: with a space, or without in scripts that write none."""
    if not first or not second:
        return first or second
    if _NO_SPACE_SCRIPTS.match(first[-1]) and _NO_SPACE_SCRIPTS.match(second[0]):
        return first + second
    return f"{first} {second}"


def word_count(text: str) -> int:
    """How many words a text has. In scripts that write no spaces two characters count as one, which is about the length
    of theirs."""
    unspaced = len(_NO_SPACE_SCRIPTS.findall(text))
    return len(_NO_SPACE_SCRIPTS.sub(" ", text).split()) + (unspaced + 1) // 2


def counted(count: int, one: str, many: str | None = None) -> str:
    """`1 message`, `3 messages`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
