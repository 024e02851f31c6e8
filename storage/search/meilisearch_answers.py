"""What Meilisearch answers, read into our own types.

Anything of another shape raises LookupError, TypeError or ValueError; `meilisearch_client` makes Unavailable of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from domain.filters.conditions import Holding
from domain.filters.facts import fold
from domain.search import Facet, FacetRequest, Hit, PageKey, SearchPage, SearchQuery, facet_values
from storage.search.meilisearch_documents import TURN_ATTRIBUTES
from storage.search.meilisearch_filter import ID, LABEL, STARTED, attribute


@dataclass(frozen=True, slots=True)
class Row:
    """One hit as we use it. value: of the attribute sorted by."""

    id: str
    started_ms: int
    revision: int
    partial: bool
    score: float | None
    value: float | None
    turns: tuple[int, ...]

    @classmethod
    def read(cls, row: Mapping[str, Any], sorted_by: str | None) -> "Row":
        """Raises KeyError, TypeError, ValueError for anything else than a hit."""
        score = row.get("_rankingScore")
        return cls(
            id=str(row[ID]),
            started_ms=int(row[STARTED]),
            revision=int(row["revision"]),
            partial=bool(row["partial"]),
            score=None if score is None else float(score),
            value=None if sorted_by is None else _nested_number(row, sorted_by),
            turns=_matched_turns(row),
        )

    @property
    def rank(self) -> tuple[float, int, str]:
        """Sorts as the engine does: better score, then newer, then id."""
        return -(self.score or 0.0), -self.started_ms, self.id


@dataclass(frozen=True, slots=True)
class Answer:
    """total: 0 where it was not asked for."""

    rows: list[Row]
    total: int
    facets: Mapping[str, Mapping[str, int]]

    @classmethod
    def read(cls, answer: Mapping[str, Any], sorted_by: str | None) -> "Answer":
        return cls(
            rows=[Row.read(row, sorted_by) for row in answer["hits"]],
            total=int(answer.get("totalHits") or 0),
            facets=answer.get("facetDistribution") or {},
        )


def page_of(query: SearchQuery, rows: Sequence[Row], *, offset: int) -> SearchPage:
    kept = rows[: query.limit]
    hits = tuple(Hit(row.id, row.revision, row.score, row.turns, row.partial) for row in kept)
    if len(rows) <= query.limit:
        return SearchPage(hits=hits)
    last = kept[-1]
    key = PageKey(last.id, last.value, last.score or 0.0, last.started_ms, offset + len(kept) - 1)
    return SearchPage(hits=hits, next=key)


def _nested_number(row: Mapping[str, Any], name: str) -> float | None:
    parent, _, child = name.partition(".")
    value = row.get(parent)
    if child:
        value = (value or {}).get(child)
    return None if value is None else float(value)


def _matched_turns(row: Mapping[str, Any]) -> tuple[int, ...]:
    """`indices` of a match say which element of the array it is in; of each attribute only the last element that
    matches is told."""
    numbers: Sequence[Sequence[int]] = row.get("turn_numbers") or ()
    matched: set[int] = set()
    for name, places in (row.get("_matchesPosition") or {}).items():
        if name in TURN_ATTRIBUTES:
            of_attribute = numbers[TURN_ATTRIBUTES.index(name)]
            matched.update(int(of_attribute[place["indices"][0]]) for place in places if place.get("indices"))
    return tuple(sorted(matched))


def counted_kinds(request: FacetRequest) -> list[Holding | str]:
    """Texts are counted as they are shown, not as they are compared."""
    return [LABEL if holding is Holding.TEXT else holding for holding in request.holdings]


def facet_of(request: FacetRequest, found: Mapping[str, Mapping[str, int]]) -> Facet:
    counts: list[tuple[str | float | bool, int]] = []
    texts: dict[str, tuple[str, int]] = {}
    for kind in counted_kinds(request):
        for text, count in found.get(attribute(kind, request.key), {}).items():
            if kind is Holding.NUMBER:
                counts.append((float(text), count))
            elif kind is Holding.FLAG:
                counts.append((text == "true", count))
            else:
                shown, so_far = texts.get(fold(text), (text, 0))
                texts[fold(text)] = shown, so_far + count
    return Facet(request.key, facet_values([*texts.values(), *counts]))
