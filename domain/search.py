"""Search as every adapter understands it: documents, queries, hits, facets, pages.

A document is one conversation: the words of its redacted turns and the facts filters see. Adapters find; which
words of which turn to mark is worked out by `domain.highlights` from the stored turns.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from pydantic import Field

from domain.conversation import Conversation, Frozen
from domain.errors import InvalidInput
from domain.filters.conditions import Holding
from domain.filters.facts import FilterFacts, instant_ms
from domain.filters.tree import Filter
from domain.ids import IdStr, TenantIdStr
from domain.turns import Turn
from domain.values import FieldValue
from domain.words import words

MAX_INDEXED_WORDS = 60_000
"""Words of one conversation that can be found; a longer one says so on its hits."""
MAX_QUERY_CHARACTERS = 1_000
MAX_QUERY_TERMS = 10
"""Words and phrases that count in one query; more are left out, and the page says so."""
MAX_PHRASE_WORDS = 30
MAX_FACET_VALUES = 100
"""Values counted for one facet, the most frequent first."""
MAX_PAGE = 200
FLAG_VALUES = ("false", "true")

# -- what is found ------------------------------------------------------------------------------------------


class TurnWords(Frozen):
    """The folded words of one turn, in order."""

    number: int
    words: tuple[str, ...]


class SearchDocument(Frozen):
    """One conversation as the index has it. revision: whose words these are. started_ms: ms since 1970 (UTC)."""

    tenant_id: TenantIdStr
    id: IdStr
    revision: int
    started_ms: int
    facts: FilterFacts
    turns: tuple[TurnWords, ...] = ()
    total_words: int = Field(default=0, ge=0)

    @property
    def partial(self) -> bool:
        """Whether only the first MAX_INDEXED_WORDS words can be found."""
        return self.total_words > MAX_INDEXED_WORDS

    @classmethod
    def of(
        cls,
        conversation: Conversation,
        turns: Sequence[Turn] = (),
        values: Iterable[FieldValue] = (),
        *,
        duration_s: float | None = None,
    ) -> Self:
        """The one place a document is built. turns: the redacted ones, empty before there are any."""
        facts = FilterFacts.of(conversation, values, duration_s=duration_s, turns=len(turns) or None)
        kept, total = _kept_turns(turns)
        return cls(
            tenant_id=conversation.tenant_id,
            id=conversation.id,
            revision=conversation.revision,
            started_ms=instant_ms(conversation.started_at),
            facts=facts,
            turns=kept,
            total_words=total,
        )


def _kept_turns(turns: Sequence[Turn]) -> tuple[tuple[TurnWords, ...], int]:
    kept: list[TurnWords] = []
    total = 0
    for turn in turns:
        found = tuple(word.text for word in words(turn.text))
        room = MAX_INDEXED_WORDS - total
        total += len(found)
        if room > 0 and found:
            kept.append(TurnWords(number=turn.number, words=found[:room]))
    return tuple(kept), total


@dataclass(frozen=True, slots=True)
class DocumentRef:
    tenant_id: str
    id: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """A document the index will not take, however often it is tried. `reason` holds none of its content."""

    document: DocumentRef
    reason: str


# -- what is asked ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Term:
    """A word, or several as a phrase: in this order, next to each other, in one turn. prefix: the word may go on."""

    words: tuple[str, ...]
    prefix: bool = False

    @property
    def is_phrase(self) -> bool:
        return len(self.words) > 1


@dataclass(frozen=True, slots=True)
class WordQuery:
    """Every term must be there and no term of `without`. left_out: terms over the limit, which do not count.

    quoted: terms in quotes, which match exactly also where the engine forgives slips of the pen.
    """

    terms: tuple[Term, ...] = ()
    without: tuple[Term, ...] = ()
    quoted: frozenset[Term] = frozenset()
    left_out: int = 0

    def __bool__(self) -> bool:
        return bool(self.terms or self.without)


_CHUNK = re.compile(r"""(?P<minus>(?<!\S)-)?(?:"(?P<phrase>[^"]*)(?:"|$)|(?P<word>[^\s"]+))""")


def read_words(text: str, *, prefix: bool = False) -> WordQuery:
    """Reads `refund "late delivery" -refused`.

    prefix: the last word may be unfinished (search as you type). Punctuation is nothing; what is written together
    (`a.b@example.com`) is a phrase. Raises InvalidInput for a text too long.
    """
    if len(text) > MAX_QUERY_CHARACTERS:
        raise InvalidInput.of("query", f"is longer than {MAX_QUERY_CHARACTERS:,} characters")
    wanted: dict[Term, None] = {}
    without: dict[Term, None] = {}
    quoted: set[Term] = set()
    last: Term | None = None
    for chunk in _CHUNK.finditer(text):
        in_quotes = chunk["phrase"] is not None
        found = tuple(w.text for w in words(chunk["phrase"] if in_quotes else chunk["word"]))
        if not found:
            continue
        term = Term(found[:MAX_PHRASE_WORDS])
        (without if chunk["minus"] else wanted)[term] = None
        if in_quotes:
            quoted.add(term)
        last = None if in_quotes or chunk["minus"] or len(found) > 1 else term
    terms = list(wanted)[:MAX_QUERY_TERMS]
    if prefix and last is not None and last in terms and not text[-1:].isspace():
        terms[terms.index(last)] = Term(last.words, prefix=True)
    refused = list(without)[:MAX_QUERY_TERMS]
    left_out = len(wanted) - len(terms) + len(without) - len(refused)
    return WordQuery(tuple(terms), tuple(refused), frozenset(quoted), left_out)


class Direction(StrEnum):
    ASCENDING = "asc"
    DESCENDING = "desc"


@dataclass(frozen=True, slots=True)
class Sort:
    """By the number a name holds (times and days are numbers); documents without it come last either way.

    Equal ones are ordered by id.
    """

    key: str
    direction: Direction = Direction.DESCENDING


NEWEST_FIRST = Sort("started", Direction.DESCENDING)


@dataclass(frozen=True, slots=True)
class FacetRequest:
    """Count the documents per value of a name."""

    key: str
    holdings: tuple[Holding, ...]


@dataclass(frozen=True, slots=True)
class PageKey:
    """The last row of a page, from which the next one goes on.

    value: of the sort's name, None when that document has none. score, started_ms and offset (rows before) are for
    the order by relevance.
    """

    id: str
    value: float | None = None
    score: float = 0.0
    started_ms: int = 0
    offset: int = 0


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """sort None: by relevance, then newest, then id; without words that is newest first.

    The tenant is the wall: an adapter adds it to whatever else is asked. after: only rows behind that one; then
    `facets` and `total` are not worked out again.
    """

    tenant_id: str
    words: WordQuery = WordQuery()
    where: Filter | None = None
    facets: tuple[FacetRequest, ...] = ()
    sort: Sort | None = None
    limit: int = 20
    after: PageKey | None = None

    @property
    def order(self) -> Sort | None:
        """The sort that applies; None for relevance."""
        return self.sort if self.sort or self.words.terms else NEWEST_FIRST


# -- what is answered ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Hit:
    """A conversation found. turns: some of those where the index matched words; empty when it does not say.

    revision: whose words were searched. partial: only the first 60,000 of them.
    """

    id: str
    revision: int
    score: float | None = None
    turns: tuple[int, ...] = ()
    partial: bool = False


@dataclass(frozen=True, slots=True)
class FacetValue:
    value: str | float | bool
    count: int


@dataclass(frozen=True, slots=True)
class Facet:
    """Most frequent values first, equal counts by value; texts as one of the documents writes them."""

    key: str
    values: tuple[FacetValue, ...]


@dataclass(frozen=True, slots=True)
class SearchPage:
    """total: matches in all, None on later pages; exact unless `total_is_estimate`. next: None on the last page."""

    hits: tuple[Hit, ...]
    total: int | None = None
    total_is_estimate: bool = False
    facets: tuple[Facet, ...] = ()
    next: PageKey | None = None


@dataclass(frozen=True, slots=True)
class SearchHealth:
    """documents: in the index; waiting: writes the engine has accepted and not yet carried out."""

    backend: str
    documents: int
    waiting: int
    rebuilding: bool
    forgives_typos: bool


def facet_values(counts: Iterable[tuple[str | float | bool, int]]) -> tuple[FacetValue, ...]:
    """In the order facets are shown, capped."""
    ordered = sorted(counts, key=lambda item: (-item[1], str(item[0])))
    return tuple(FacetValue(value, count) for value, count in ordered[:MAX_FACET_VALUES])
