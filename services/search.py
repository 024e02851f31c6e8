"""Searching a tenant's conversations: words, a filter, facets, order, pages, and the words shown with each hit."""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, Field, StringConstraints, ValidationError

from domain.clock import Clock, utc_now
from domain.conversation import Conversation, Frozen
from domain.errors import InvalidInput, NotFound
from domain.filters import Filter, FilterSchema, from_json, parse, to_json
from domain.filters.conditions import HOLDINGS
from domain.filters.forms import expression_text
from domain.filters.schema import FilterName
from domain.filters.tree import MAX_LENGTH, And, conjunction
from domain.highlights import Fragment, fragments
from domain.names import NameType
from domain.search import (
    MAX_PAGE,
    MAX_QUERY_CHARACTERS,
    MAX_QUERY_TERMS,
    Direction,
    Facet,
    FacetRequest,
    Hit,
    PageKey,
    SearchQuery,
    Sort,
    WordQuery,
    read_words,
)
from storage.protocols import Database, TenantTx
from storage.search.port import SearchIndex

MAX_FACETS = 20
RELEVANCE = "relevance"

_COUNTED = frozenset({NameType.TEXT, NameType.OPTION, NameType.NUMBER, NameType.FLAG, NameType.META})
_SORTED = frozenset({NameType.NUMBER, NameType.DURATION, NameType.INSTANT, NameType.DAY, NameType.META})


class SearchRequest(Frozen):
    """What a caller asks.

    query: words, "quoted phrases", -without. where: a filter in its text or JSON form. sort: a name for ascending,
    `-name` for descending, or `relevance`; none is relevance with words and newest first without. cursor: from the
    page before, with everything else the same. unfinished: the last word may go on (search as you type).
    """

    query: Annotated[str, StringConstraints(max_length=MAX_QUERY_CHARACTERS)] = ""
    where: Annotated[str, StringConstraints(max_length=MAX_LENGTH)] | dict[str, Any] | None = None
    facets: Annotated[tuple[Annotated[str, StringConstraints(max_length=100)], ...], Field(max_length=MAX_FACETS)] = ()
    sort: Annotated[str, StringConstraints(max_length=100)] | None = None
    limit: int = Field(default=20, ge=1, le=MAX_PAGE)
    cursor: Annotated[str, StringConstraints(max_length=2_000)] | None = None
    unfinished: bool = False
    highlight: bool = True


class FoundConversation(Frozen):
    """A hit. score: how well the words fit, for the order of this page only. fragments: of the redacted turns.

    partial: the conversation is so long that only its first 60,000 words are searched.
    """

    conversation: Conversation
    score: float | None = None
    fragments: tuple[Fragment, ...] = ()
    partial: bool = False


class CountedValue(Frozen):
    value: str | float | bool
    count: int


class CountedFacet(Frozen):
    name: str
    values: tuple[CountedValue, ...]


class SearchResult(Frozen):
    """One page. total and facets come with the first one only. notes: what the search did not do as asked, in words."""

    hits: tuple[FoundConversation, ...]
    total: int | None = None
    total_is_estimate: bool = False
    facets: tuple[CountedFacet, ...] = ()
    next_cursor: str | None = None
    notes: tuple[str, ...] = ()
    backend: str


class SearchConversations:
    """Needs the database and the search index."""

    def __init__(self, database: Database, index: SearchIndex, clock: Clock = utc_now) -> None:
        self._database = database
        self._index = index
        self._clock = clock

    async def search(self, tenant_id: str, request: SearchRequest, *, may_see_sensitive: bool = False) -> SearchResult:
        """Raises InvalidFilter, InvalidInput (sort, facet, cursor), NotFound (tenant), Unavailable."""
        cursor = None if request.cursor is None else _read_cursor(request.cursor)
        now = self._clock() if cursor is None else cursor.now
        async with self._database.tenant_tx(tenant_id) as tx:
            query = _query(
                tx, request, FilterSchema.of(await tx.catalog.fields(), may_see_sensitive=may_see_sensitive), now
            )
        fingerprint = _fingerprint(query)
        if cursor is not None:
            if cursor.search != fingerprint:
                raise InvalidInput.of("cursor", "belongs to another search; begin again without it")
            query = _after(query, cursor)
        page = await self._index.search(query)
        async with self._database.tenant_tx(tenant_id) as tx:
            hits = await _found(tx, page.hits, query.words if request.highlight else WordQuery())
        return SearchResult(
            hits=hits,
            total=page.total,
            total_is_estimate=page.total_is_estimate,
            facets=tuple(_counted(facet) for facet in page.facets),
            next_cursor=None if page.next is None else _Cursor.of(fingerprint, now, page.next).text(),
            notes=_notes(query.words),
            backend=self._index.backend,
        )

    async def conditions(
        self, tenant_id: str, where: str, *, may_see_sensitive: bool = False
    ) -> tuple[tuple[str, str], ...]:
        """What a filter is joined of with `and`: (condition, the filter without it), both as text.

        Raises InvalidFilter, NotFound (tenant), Unavailable.
        """
        async with self._database.tenant_tx(tenant_id) as tx:
            schema = FilterSchema.of(await tx.catalog.fields(), may_see_sensitive=may_see_sensitive)
            found = _filter(where, schema, self._clock(), tx.tenant.time_zone)
        if found is None:
            return ()
        parts = found.expression.parts if isinstance(found.expression, And) else (found.expression,)
        rests = [tuple(part for other, part in enumerate(parts) if other != number) for number in range(len(parts))]
        return tuple(
            (expression_text(part), expression_text(conjunction(rest)) if rest else "")
            for part, rest in zip(parts, rests, strict=True)
        )


# -- asking -------------------------------------------------------------------------------------------------


def _query(tx: TenantTx, request: SearchRequest, schema: FilterSchema, now: datetime) -> SearchQuery:
    return SearchQuery(
        tenant_id=tx.tenant.id,
        words=read_words(request.query, prefix=request.unfinished),
        where=_filter(request.where, schema, now, tx.tenant.time_zone),
        facets=tuple(_facet(name, schema) for name in dict.fromkeys(request.facets)),
        sort=_sort(request.sort, schema),
        limit=request.limit,
    )


def _filter(where: str | Mapping[str, Any] | None, schema: FilterSchema, now: datetime, zone: str) -> Filter | None:
    if where is None or (isinstance(where, str) and not where.strip()):
        return None
    if isinstance(where, str):
        return parse(where, schema, now=now, zone=zone)
    return from_json(where, schema, now=now, zone=zone)


def _known(name: str, what: str, schema: FilterSchema) -> FilterName:
    found = schema.find(name)
    if found is None:
        raise InvalidInput.of(what, schema.unknown(name))
    return found


def _facet(name: str, schema: FilterSchema) -> FacetRequest:
    found = _known(name, "facets", schema)
    if found.name.type not in _COUNTED:
        raise InvalidInput.of("facets", f"{name} has too many different values to count")
    return FacetRequest(name, HOLDINGS[found.name.type])


def _sort(text: str | None, schema: FilterSchema) -> Sort | None:
    if text is None or text == RELEVANCE:
        return None
    name = text.removeprefix("-")
    if _known(name, "sort", schema).name.type not in _SORTED:
        raise InvalidInput.of("sort", f"{name} has no order; numbers, dates and times have")
    return Sort(name, Direction.DESCENDING if text.startswith("-") else Direction.ASCENDING)


def _notes(words: WordQuery) -> tuple[str, ...]:
    if not words.left_out:
        return ()
    return (f"only the first {MAX_QUERY_TERMS} words and phrases were searched for",)


# -- cursors ------------------------------------------------------------------------------------------------


class _Cursor(Frozen):
    """Where a page ended, which search it was, and what `now` meant in it. It grants nothing: the tenant comes from
    the caller every time."""

    search: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
    now: AwareDatetime
    id: Annotated[str, StringConstraints(max_length=36)]
    value: float | None = Field(default=None, allow_inf_nan=False)
    score: float = Field(default=0.0, allow_inf_nan=False)
    started_ms: int = Field(default=0, ge=-(2**53), le=2**53)
    offset: int = Field(default=0, ge=0, le=1_000_000)

    @classmethod
    def of(cls, search: str, now: datetime, key: PageKey) -> "_Cursor":
        return cls(
            search=search,
            now=now,
            id=key.id,
            value=key.value,
            score=key.score,
            started_ms=key.started_ms,
            offset=key.offset,
        )

    def text(self) -> str:
        data = self.model_dump_json(exclude_defaults=True).encode()
        return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _read_cursor(text: str) -> _Cursor:
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        return _Cursor.model_validate_json(data)
    except (binascii.Error, ValueError, ValidationError):
        raise InvalidInput.of("cursor", "is not a cursor of this service") from None


def _after(query: SearchQuery, cursor: _Cursor) -> SearchQuery:
    key = PageKey(cursor.id, cursor.value, cursor.score, cursor.started_ms, cursor.offset)
    return SearchQuery(query.tenant_id, query.words, query.where, (), query.sort, query.limit, key)


def _fingerprint(query: SearchQuery) -> str:
    """The same for the same words, filter and order of one tenant."""
    parts = [
        query.tenant_id,
        [[term.words, term.prefix] for term in query.words.terms],
        [term.words for term in query.words.without],
        None if query.where is None else to_json(query.where),
        None if query.sort is None else [query.sort.key, query.sort.direction],
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


# -- answering ----------------------------------------------------------------------------------------------


async def _found(tx: TenantTx, hits: Sequence[Hit], words: WordQuery) -> tuple[FoundConversation, ...]:
    """The hits with their conversations; one that was erased since it was indexed is left out."""
    found = []
    for hit in hits:
        with suppress(NotFound):
            conversation = await tx.conversations.get(hit.id)
            rendition = await tx.renditions.find(hit.id, hit.revision) if words.terms else None
            found.append(
                FoundConversation(
                    conversation=conversation,
                    score=hit.score,
                    fragments=fragments(rendition.turns, words, matched_turns=hit.turns) if rendition else (),
                    partial=hit.partial,
                )
            )
    return tuple(found)


def _counted(facet: Facet) -> CountedFacet:
    return CountedFacet(name=facet.key, values=tuple(CountedValue(value=v.value, count=v.count) for v in facet.values))
