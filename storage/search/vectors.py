"""Words as Postgres keeps and asks for them: tsvector and tsquery, in their own notation.

A tsvector keeps positions up to 16,383 and at most 255 of a word, so a long conversation is several: its *parts*. No
part ends within a turn unless the turn alone is too long; then the next part begins with the last words of the one
before, so that no phrase is lost.
"""

from collections.abc import Iterable, Iterator, Sequence

from domain.search import MAX_PHRASE_WORDS, Term, TurnWords

MAX_POSITION = 16_000
MAX_PLACES = 250
MAX_PART_BYTES = 400_000
MAX_LEXEME_BYTES = 800_000
"""Different words of one document, in bytes: a tsvector has room for one MiB."""
TURN_GAP = MAX_PHRASE_WORDS + 1
"""Positions between turns, so that no phrase spans two."""


def vectors(turns: Iterable[TurnWords]) -> tuple[list[str], bool]:
    """The parts in tsvector notation, and whether every word is in them."""
    parts: list[_Part] = [_Part()]
    known: set[str] = set()
    size = 0
    for turn in turns:
        if parts[-1].size and not parts[-1].has_room(turn.words):
            parts.append(_Part())
        parts[-1].next_turn()
        for place, word in enumerate(turn.words):
            if word not in known:
                known.add(word)
                size += len(word.encode())
                if size > MAX_LEXEME_BYTES:
                    return [part.text() for part in parts], False
            if not parts[-1].has_room((word,)):
                parts.append(_Part())
                for earlier in turn.words[max(0, place - MAX_PHRASE_WORDS) : place]:
                    parts[-1].add(earlier)
            parts[-1].add(word)
    return [part.text() for part in parts if part.size], True


class _Part:
    def __init__(self) -> None:
        self.places: dict[str, list[int]] = {}
        self.position = 0
        self.size = 0

    def next_turn(self) -> None:
        self.position += TURN_GAP

    def has_room(self, words: Sequence[str]) -> bool:
        """Whether all the words fit; asked of a whole turn or of one word."""
        if self.position + TURN_GAP + len(words) > MAX_POSITION:
            return False
        if self.size + sum(len(word.encode()) + 4 for word in words) > MAX_PART_BYTES:
            return False
        return all(len(self.places.get(word, ())) + count <= MAX_PLACES for word, count in _counted(words))

    def add(self, word: str) -> None:
        self.position += 1
        self.places.setdefault(word, []).append(self.position)
        self.size += len(word.encode()) + 4

    def text(self) -> str:
        return " ".join(f"{_quoted(word)}:{','.join(map(str, places))}" for word, places in self.places.items())


def _counted(words: Sequence[str]) -> Iterator[tuple[str, int]]:
    counts: dict[str, int] = {}
    for word in words:
        counts[word] = counts.get(word, 0) + 1
    return iter(counts.items())


def phrase(term: Term) -> str:
    """tsquery of one term: a word, or words next to each other."""
    return " <-> ".join(_word(word, prefix=term.prefix) for word in term.words)


def all_words(terms: Iterable[Term]) -> str:
    """tsquery: every word of every term, wherever."""
    return " & ".join(_word(word, prefix=term.prefix) for term in terms for word in term.words)


def all_terms(terms: Iterable[Term]) -> str:
    """tsquery: every term."""
    return " & ".join(f"({phrase(term)})" for term in terms)


def any_term(terms: Iterable[Term]) -> str:
    """tsquery: at least one term."""
    return " | ".join(f"({phrase(term)})" for term in terms)


def no_words(terms: Iterable[Term]) -> str:
    """tsquery: none of the single words among the terms; empty when there are only phrases."""
    return " & ".join(f"!{phrase(term)}" for term in terms if not term.is_phrase)


def _word(word: str, *, prefix: bool) -> str:
    return f"{_quoted(word)}:*" if prefix else _quoted(word)


def _quoted(word: str) -> str:
    return "'" + word.replace("\\", "\\\\").replace("'", "''") + "'"
