"""Cuts the text form into tokens with their columns."""

import re
from dataclasses import dataclass
from enum import StrEnum

from domain.errors import InvalidFilter
from domain.filters.literals import DATE_PATTERN, DURATION_PATTERN, NUMBER_PATTERN


class Kind(StrEnum):
    WORD = "word"
    TEXT = "text"
    NUMBER = "number"
    DURATION = "duration"
    TIME = "time"
    OPERATOR = "operator"
    SYMBOL = "symbol"
    END = "end"


@dataclass(frozen=True, slots=True)
class Token:
    """`text` is the token's value: for TEXT without quotes and escapes. `column` counts from 1."""

    kind: Kind
    text: str
    column: int

    def is_word(self, word: str) -> bool:
        return self.kind is Kind.WORD and self.text.lower() == word


# A word may hold hyphens (en-GB, vip-support), except that now-7d is arithmetic. A number, date or duration may
# not run on into a word: 12ab is nothing.
_TOKEN = re.compile(
    rf"""
    (?P<space>\s+)
  | (?P<time>{DATE_PATTERN})(?![\w.])
  | (?P<duration>{DURATION_PATTERN})(?![\w.])
  | (?P<number>{NUMBER_PATTERN})(?![\w.]|-\d)
  | (?P<word>(?:[nN][oO][wW]|[tT][oO][dD][aA][yY])(?![\w.]) | [^\W\d]\w*(?:[.-]\w+)*)
  | (?P<operator><=|>=|!=|<>|==|=|<|>)
  | (?P<symbol>[(),%+-])
  | (?P<quote>['"])
    """,
    re.VERBOSE,
)
_ESCAPE = re.compile(r"\\(?:(?P<plain>[\\'\"nrt])|u(?P<four>[0-9a-fA-F]{4})|U(?P<eight>[0-9a-fA-F]{8}))")
_PLAIN = {"\\": "\\", "'": "'", '"': '"', "n": "\n", "r": "\r", "t": "\t"}
_OPERATORS = {"==": "=", "<>": "!="}


def tokens(text: str) -> list[Token]:
    """All tokens and a final END. Raises InvalidFilter at the first character that fits nothing."""
    found: list[Token] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup is None:
            raise InvalidFilter.at(position + 1, _misfit(text[position:]))
        if match.lastgroup == "quote":
            value, end = _quoted(text, position)
            found.append(Token(Kind.TEXT, value, position + 1))
        else:
            end = match.end()
            if match.lastgroup != "space":
                value = match.group()
                found.append(Token(Kind(match.lastgroup), _OPERATORS.get(value, value), position + 1))
        position = end
    found.append(Token(Kind.END, "", len(text) + 1))
    return found


def _quoted(text: str, start: int) -> tuple[str, int]:
    """The text between quotes and the position after it."""
    parts: list[str] = []
    quote, position = text[start], start + 1
    while position < len(text):
        character = text[position]
        if character == quote:
            return "".join(parts), position + 1
        if character == "\\":
            escape = _ESCAPE.match(text, position)
            if escape is None:
                raise InvalidFilter.at(position + 1, r"unknown escape; \\ \' \" \n \r \t and \uXXXX are known")
            parts.append(_unescaped(escape, position + 1))
            position = escape.end()
        else:
            parts.append(character)
            position += 1
    raise InvalidFilter.at(start + 1, f"the text that starts here has no closing {quote}")


def _unescaped(escape: re.Match[str], column: int) -> str:
    if plain := escape["plain"]:
        return _PLAIN[plain]
    code = int(escape["four"] or escape["eight"], 16)
    if code > 0x10FFFF:
        raise InvalidFilter.at(column, "there is no such character")
    return chr(code)


def _misfit(rest: str) -> str:
    start = re.match(r"[\w.:@/#&|-]+", rest)
    if start and re.match(r"[\w.]", rest):
        return f"`{start.group()[:40]}` is neither a number, a date nor a name; put a text in quotes"
    if rest[0] in "&|":
        return "write `and` and `or`"
    return f"`{rest[0]}` does not belong here; put a text in quotes"
