"""A long conversation in windows of turns, each small enough for one request.

Every turn is in at least one window, in order, under its own number; a turn too large for any window is cut at white
space into pieces that follow each other. A window begins with the last turns of the one before, where they are small:
an answer is not parted from its question.
"""

from collections.abc import Iterator, Sequence

from domain.tokens import BYTES_PER_TOKEN, estimate
from domain.turns import Turn

TURN_OVERHEAD = 12
"""Tokens around a turn's words: number, role, punctuation."""

MIN_WINDOW = 100
"""Tokens below which a window is no use."""

REPEATED_TURNS = 2
REPEATED_SHARE = 8
"""At most so many turns are repeated, and at most a window's eighth."""

Window = tuple[Turn, ...]


def turn_tokens(turn: Turn) -> int:
    """What a turn costs in a request."""
    return estimate(turn.text) + TURN_OVERHEAD


def tokens_of(turns: Sequence[Turn]) -> int:
    """What the turns cost in a request."""
    return sum(map(turn_tokens, turns))


def windows(turns: Sequence[Turn], budget: int) -> tuple[Window, ...]:
    """Windows of at most `budget` tokens each. One window when everything fits. Raises ValueError below MIN_WINDOW."""
    if budget < MIN_WINDOW:
        raise ValueError(f"a window needs at least {MIN_WINDOW} tokens")
    if tokens_of(turns) <= budget:
        return (tuple(turns),) if turns else ()
    cut: list[Window] = []
    open_: list[Turn] = []
    size = 0
    for piece in (piece for turn in turns for piece in _pieces(turn, budget - TURN_OVERHEAD)):
        cost = turn_tokens(piece)
        if open_ and size + cost > budget:
            cut.append(tuple(open_))
            open_ = _repeated(open_, piece, budget, cost)
            size = tokens_of(open_)
        open_.append(piece)
        size += cost
    cut.append(tuple(open_))
    return tuple(cut)


def _repeated(before: Sequence[Turn], following: Turn, budget: int, cost: int) -> list[Turn]:
    """The end of the window before that the next one begins with."""
    room = min(budget // REPEATED_SHARE, budget - cost)
    kept: list[Turn] = []
    for turn in reversed(before[-REPEATED_TURNS:]):
        room -= turn_tokens(turn)
        if room < 0 or turn.number == following.number:
            break
        kept.insert(0, turn)
    return kept if len(kept) < len(before) else kept[1:]


def _pieces(turn: Turn, tokens: int) -> Iterator[Turn]:
    """The turn, or as many turns of the same number as its words need."""
    if estimate(turn.text) <= tokens:
        yield turn
        return
    rest, most = turn.text, tokens * BYTES_PER_TOKEN
    while rest:
        end = _fitting(rest, most)
        if end < len(rest):
            space = max(rest.rfind(" ", 0, end), rest.rfind("\n", 0, end))
            end = space + 1 if space > end // 2 else end
        yield turn.model_copy(update={"text": rest[:end]})
        rest = rest[end:]


def _fitting(text: str, most_bytes: int) -> int:
    """How many characters of the text fit."""
    if len(text) * 4 <= most_bytes:
        return len(text)
    encoded = text[: most_bytes + 1].encode("utf-8", "replace")[:most_bytes]
    return max(1, len(encoded.decode("utf-8", "ignore")))
