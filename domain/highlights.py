"""Which words of a found conversation to show and mark, worked out from its stored redacted turns."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from domain.conversation import Frozen, Role
from domain.search import Term, WordQuery
from domain.turns import Turn
from domain.words import Word, words

FRAGMENT_CHARACTERS = 240
_LEAD = 60
MAX_FRAGMENTS = 3


class Span(Frozen):
    """Character offsets in the fragment's text; `end` is behind the last one."""

    start: int
    end: int


class Fragment(Frozen):
    """A piece of one turn with what was searched for marked. `offset`: where the piece begins in the turn."""

    turn: int
    role: Role
    at: datetime | None = None
    start_ms: int | None = None
    offset: int
    text: str
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class _Match:
    start: int
    end: int
    term: int


def fragments(
    turns: Sequence[Turn], query: WordQuery, *, matched_turns: Collection[int] = (), limit: int = MAX_FRAGMENTS
) -> tuple[Fragment, ...]:
    """At most `limit` fragments, each of another turn, in the order of the turns: together they show as many of the
    query's terms as can be shown.

    matched_turns: some of those where the index matched words. There, a word also counts that is as close to one of the
    query's as an index forgives, when that one is nowhere as it was written.
    """
    of_turn = {turn.number: (turn, _matches(turn, query)) for turn in turns}
    missing = {*range(len(query.terms))} - {match.term for _, matches in of_turn.values() for match in matches}
    for number in matched_turns if missing else ():
        if number in of_turn:
            turn, matches = of_turn[number]
            of_turn[number] = turn, sorted([*matches, *_close(turn, query, missing)], key=_place)
    found = [(turn, matches) for turn, matches in of_turn.values() if matches]
    chosen: list[tuple[Turn, list[_Match]]] = []
    shown: set[int] = set()
    while found and len(chosen) < limit:
        best = max(found, key=lambda of: (len({m.term for m in of[1]} - shown), len(of[1]), -of[0].number))
        found.remove(best)
        chosen.append(best)
        shown |= {match.term for match in best[1]}
    chosen.sort(key=lambda of: of[0].number)
    return tuple(_fragment(turn, matches) for turn, matches in chosen)


def _matches(turn: Turn, query: WordQuery) -> list[_Match]:
    if turn.text.isascii():
        lowered = turn.text.lower()  # most turns hold none of the words, and this tells without cutting them up
        if not any(term.words[0] in lowered for term in query.terms):
            return []
    cut = list(words(turn.text))
    matches = [
        _Match(cut[at].start, cut[at + len(term.words) - 1].end, number)
        for number, term in enumerate(query.terms)
        for at in range(len(cut) - len(term.words) + 1)
        if _is_here(cut, at, term)
    ]
    return sorted(matches, key=_place)


def _place(match: _Match) -> tuple[int, int]:
    return match.start, match.end


def _close(turn: Turn, query: WordQuery, missing: Collection[int]) -> list[_Match]:
    forgiven = [
        (number, query.terms[number].words[0])
        for number in missing
        if not query.terms[number].is_phrase and query.terms[number] not in query.quoted
    ]
    return [
        _Match(word.start, word.end, number)
        for word in words(turn.text)
        for number, wanted in forgiven
        if is_close(wanted, word.text)
    ]


def _is_here(cut: Sequence[Word], at: int, term: Term) -> bool:
    if term.prefix:
        return cut[at].text.startswith(term.words[0])
    return all(cut[at + place].text == word for place, word in enumerate(term.words))


def is_close(wanted: str, word: str) -> bool:
    """Whether a word is within the slips an index forgives: one in five letters, two in nine."""
    allowed = 0 if len(wanted) < 5 else 1 if len(wanted) < 9 else 2
    return allowed > 0 and abs(len(wanted) - len(word)) <= allowed and _distance(wanted, word) <= allowed


def _distance(a: str, b: str) -> int:
    """Edits (insert, delete, replace, swap neighbours) from a to b: optimal string alignment."""
    before: list[int] = []
    last: list[int] = []
    row = list(range(len(b) + 1))
    for i, letter in enumerate(a, 1):
        before, last, row = last, row, [i]
        for j, other in enumerate(b, 1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == b[j - 2] and a[i - 2] == other:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
    return row[-1]


def _fragment(turn: Turn, matches: Sequence[_Match]) -> Fragment:
    """The stretch of the turn that starts a little before the match after which most others follow closely."""
    text = turn.text
    reach = FRAGMENT_CHARACTERS - _LEAD
    best = max(matches, key=lambda m: (sum(m.start <= n.start and n.end <= m.start + reach for n in matches), -m.start))
    start = _at_a_word(text, max(0, min(best.start - _LEAD, len(text) - FRAGMENT_CHARACTERS)), best.start)
    end = min(len(text), max(start + FRAGMENT_CHARACTERS, best.end))
    spans: list[Span] = []
    for match in matches:
        low, high = match.start - start, match.end - start
        if low < 0 or match.end > end:
            continue
        if spans and low <= spans[-1].end:
            spans[-1] = Span(start=spans[-1].start, end=max(high, spans[-1].end))
        else:
            spans.append(Span(start=low, end=high))
    return Fragment(
        turn=turn.number,
        role=turn.role,
        at=turn.at,
        start_ms=turn.start_ms,
        offset=start,
        text=text[start:end],
        spans=tuple(spans),
    )


def _at_a_word(text: str, position: int, latest: int) -> int:
    """The next beginning of a word, not behind `latest`."""
    if position == 0:
        return 0
    while position < latest and not (text[position - 1].isspace() and not text[position].isspace()):
        position += 1
    return position
