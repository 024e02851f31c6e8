"""Quotes: exact words of a turn that carry weight, as `domain.evidence` will judge them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from domain.conversation import Role
from domain.evidence import ClaimedQuote, VerifiedQuote, verify
from engines.language_models.offline.analysis import Analysis
from engines.language_models.offline.text import Sentence, words

MAX_QUOTE_CHARS = 240
MIN_QUOTE_WORDS = 3


@dataclass(frozen=True)
class Ground:
    """What a value rests on: a sentence and, if it is long, the place in it that matters (offsets in the turn)."""

    sentence: Sentence
    start: int
    end: int

    @classmethod
    def of(cls, sentence: Sentence) -> "Ground":
        return cls(sentence, sentence.start, sentence.end)


@dataclass(frozen=True)
class Evidence:
    turn: int
    quote: str


def quotes(analysis: Analysis, grounds: Iterable[Ground], role: Role | None, limit: int = 3) -> tuple[Evidence, ...]:
    """The grounds as quotes that will be verified; those that would not are left out. At most `limit`, no repeats."""
    found: dict[tuple[int, str], Evidence] = {}
    for ground in grounds:
        evidence = _quote(analysis, ground, role)
        if evidence is not None:
            found.setdefault((evidence.turn, evidence.quote), evidence)
        if len(found) == limit:
            break
    return tuple(found.values())


def _quote(analysis: Analysis, ground: Ground, role: Role | None) -> Evidence | None:
    turn = next(t for t in analysis.turns if t.number == ground.sentence.turn)
    if not turn.role.may_be(role):
        return None
    for start, end in _candidates(analysis, ground, turn.text):
        quote = turn.text[start:end].strip()
        verdict = verify(analysis.turns, ClaimedQuote(turn=turn.number, quote=quote), role)
        if isinstance(verdict, VerifiedQuote) and verdict.quote.turn == turn.number:
            return Evidence(turn.number, quote)
    return None


def _candidates(analysis: Analysis, ground: Ground, text: str) -> list[tuple[int, int]]:
    """The sentence, or the part around what matters; with its neighbour when it is short or says too little alone."""
    sentence = ground.sentence
    if sentence.end - sentence.start > MAX_QUOTE_CHARS:
        return [_window(text, sentence, ground)]
    own = (sentence.start, sentence.end)
    wider = _with_neighbour(analysis.sentences, sentence)
    return [own, *wider] if len(words(sentence.folded)) >= MIN_QUOTE_WORDS else [*wider, own]


def _with_neighbour(sentences: Sequence[Sentence], sentence: Sentence) -> list[tuple[int, int]]:
    same = [s for s in sentences if s.turn == sentence.turn and abs(s.index - sentence.index) == 1]
    joined = [(min(s.start, sentence.start), max(s.end, sentence.end)) for s in reversed(same)]
    return [span for span in joined if span[1] - span[0] <= MAX_QUOTE_CHARS]


def _window(text: str, sentence: Sentence, ground: Ground) -> tuple[int, int]:
    """About MAX_QUOTE_CHARS of a long sentence around the ground, cut at spaces."""
    spare = max(MAX_QUOTE_CHARS - (ground.end - ground.start), 0)
    start = max(sentence.start, ground.start - spare // 2)
    end = min(sentence.end, start + MAX_QUOTE_CHARS)
    if start > sentence.start:
        space = text.find(" ", start, ground.start)
        start = space + 1 if space >= 0 else ground.start
    if end < sentence.end:
        space = text.rfind(" ", min(ground.end, end), end)
        end = space if space >= 0 else end
    return start, end
