"""Documents, settings and queries as Meilisearch takes them.

What was watched on 1.50 and shapes this: an attribute holds 65,535 positions and an array loses eight between two
elements, so turns are spread over several attributes; equality ignores case and cuts values at 468 bytes, so values
are kept folded and long ones hashed (`filters.facts.token`); a pattern without `comparison` refuses `>`; only the
parent of nested attributes can be made sortable; sorting comes before relevance only if its rule does.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from domain.filters.conditions import Holding
from domain.filters.facts import is_hashed, token
from domain.filters.schema import META_PREFIX
from domain.search import MAX_FACET_VALUES, MAX_PHRASE_WORDS, SearchDocument, Term, TurnWords, WordQuery
from storage.search.meilisearch_filter import ID, LABEL, STARTED, TENANT, UNKNOWN, flag_text

PRIMARY_KEY = "key"
TURN_ATTRIBUTES = tuple(f"turns_{number}" for number in range(1, 9))
POSITIONS_PER_ATTRIBUTE = 40_000
"""Well below 65,535: the engine may cut a word of ours in two, such as a compound or an article."""
_POSITIONS_BETWEEN_TURNS = 8
MAX_TOTAL = 50_000
"""How far the engine counts, and how deep a page by relevance can be."""


def settings() -> dict[str, Any]:
    """All settings we care about. What is not named here keeps the engine's own value."""
    kinds = [holding.value for holding in Holding]
    equal = [f"{prefix}{kind}.*" for prefix in ("", "meta_") for kind in (*kinds, LABEL) if kind != "number"]
    ordered = ["number.*", "meta_number.*", ID, STARTED]
    return {
        "searchableAttributes": list(TURN_ATTRIBUTES),
        "displayedAttributes": ["*"],
        "filterableAttributes": [
            _filterable([PRIMARY_KEY, TENANT, UNKNOWN, *equal], comparison=False),
            _filterable(ordered, comparison=True),
        ],
        "sortableAttributes": sorted([ID, STARTED, "meta_number", "number"]),
        "rankingRules": ["sort", "words", "typo", "proximity", "exactness", f"{STARTED}:desc", f"{ID}:asc"],
        "typoTolerance": {
            "enabled": True,
            "minWordSizeForTypos": {"oneTypo": 5, "twoTypos": 9},
            "disableOnWords": [],
            "disableOnAttributes": [],
            "disableOnNumbers": True,
        },
        "faceting": {"maxValuesPerFacet": MAX_FACET_VALUES, "sortFacetValuesBy": {"*": "count"}},
        "pagination": {"maxTotalHits": MAX_TOTAL},
        "proximityPrecision": "byWord",
        "searchCutoffMs": 5_000,
        "stopWords": [],
    }


def _filterable(patterns: Sequence[str], *, comparison: bool) -> dict[str, Any]:
    return {
        "attributePatterns": list(patterns),
        "features": {"facetSearch": False, "filter": {"equality": True, "comparison": comparison}},
    }


def changed_settings(current: Mapping[str, Any]) -> dict[str, Any]:
    """Those of ours that the index does not have."""
    return {name: wanted for name, wanted in settings().items() if current.get(name) != wanted}


def document_key(tenant_id: str, conversation_id: str) -> str:
    """Of the tenant too: nobody's document can take the place of another tenant's."""
    return f"{tenant_id}-{conversation_id}"


def to_json(document: SearchDocument) -> dict[str, Any]:
    """The whole document: what is not in it is gone when it has been put in."""
    facts = document.facts
    values: dict[str, dict[str, Any]] = {}

    def put(kind: str, key: str, value: object) -> None:
        prefix = "meta_" if key.startswith(META_PREFIX) else ""
        values.setdefault(prefix + kind, {})[key.removeprefix(META_PREFIX)] = value

    for key, texts in facts.texts.items():
        put(Holding.TEXT.value, key, [token(text) for text in texts])
        if shown := [text for text in texts if not is_hashed(token(text))]:
            put(LABEL, key, shown)
    for key, number in facts.numbers.items():
        put(Holding.NUMBER.value, key, number)
    for key, flag in facts.flags.items():
        put(Holding.FLAG.value, key, flag_text(flag))
    attributes, numbers, whole = spread(document.turns)
    return {
        PRIMARY_KEY: document_key(document.tenant_id, document.id),
        TENANT: document.tenant_id,
        ID: document.id,
        STARTED: document.started_ms,
        "revision": document.revision,
        "partial": document.partial or not whole,
        "turn_numbers": numbers,
        UNKNOWN: sorted(facts.unknown),
        **values,
        **dict(zip(TURN_ATTRIBUTES, attributes, strict=False)),
    }


def spread(turns: Sequence[TurnWords]) -> tuple[list[list[str]], list[list[int]], bool]:
    """The turns over as many attributes as they need: (texts, their turn numbers, whether everything has room)."""
    texts: list[list[str]] = [[]]
    numbers: list[list[int]] = [[]]
    used = 0
    for number, words in _pieces(turns):
        cost = len(words) + _POSITIONS_BETWEEN_TURNS
        if used + cost > POSITIONS_PER_ATTRIBUTE and texts[-1]:
            if len(texts) == len(TURN_ATTRIBUTES):
                return texts, numbers, False
            texts.append([])
            numbers.append([])
            used = 0
        texts[-1].append(" ".join(words))
        numbers[-1].append(number)
        used += cost
    return texts, numbers, True


def _pieces(turns: Sequence[TurnWords]) -> Iterator[tuple[int, Sequence[str]]]:
    """Turns, one too long for an attribute in pieces that overlap, so that no phrase is lost."""
    room = POSITIONS_PER_ATTRIBUTE - _POSITIONS_BETWEEN_TURNS
    for turn in turns:
        start = 0
        while True:
            yield turn.number, turn.words[start : start + room]
            start += room - MAX_PHRASE_WORDS
            if start + MAX_PHRASE_WORDS >= len(turn.words):
                break


def query_text(words: WordQuery) -> str:
    """`q`: what must not be there first (words after the tenth term would not count), an unfinished word last.

    A space at the end keeps the engine from completing a finished word. Words with digits are quoted, which keeps it
    from forgiving slips in them: another number is another thing.
    """
    terms = sorted(words.terms, key=lambda term: term.prefix)
    parts = [*("-" + _term(term, exact=term.is_phrase) for term in words.without)]
    parts += [_term(term, exact=_is_exact(term, words)) for term in terms]
    text = " ".join(parts)
    return text if terms and terms[-1].prefix else text + " "


def _is_exact(term: Term, words: WordQuery) -> bool:
    if term.prefix:
        return False
    return term.is_phrase or term in words.quoted or any(c.isdigit() for c in term.words[0])


def _term(term: Term, *, exact: bool) -> str:
    text = " ".join(term.words)
    return f'"{text}"' if exact else text
