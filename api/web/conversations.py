"""The list of conversations: all of them, newest first, or what a search finds."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from api import cursors
from api.deps import Services
from api.web.values import Shown, shown_value
from api.web.view import render
from api.web.visitors import Needs, Visitor
from domain.conversation import Conversation
from domain.errors import InvalidFilter, InvalidInput
from domain.fields import Aggregate, CustomField, FieldType
from domain.filters.tree import MAX_LENGTH
from domain.highlights import Fragment
from domain.search import MAX_QUERY_CHARACTERS
from domain.values import FieldValue
from services.facade import ApiServices
from services.permissions import Permission
from services.search import CountedFacet, SearchRequest

router = APIRouter(include_in_schema=False)

Reader = Annotated[Visitor, Depends(Needs(Permission.EVERY_CONVERSATION))]

PAGE = 25
_FACETS = ("channel", "status", "queue", "source", "language")
_MAX_FACETS = 12
_SHOWN_VALUES = 8
"""Values of one facet that are offered."""


@dataclass(frozen=True)
class Asked:
    """What the address asks for."""

    query: str
    where: str
    sort: str
    cursor: str | None

    @property
    def searches(self) -> bool:
        return bool(self.query or self.where or self.sort)

    def address(self, **changes: str | None) -> str:
        """The same with changes; a new search begins at its first page."""
        given = {"q": self.query, "where": self.where, "sort": self.sort} | changes
        query = urlencode({name: value for name, value in given.items() if value})
        return f"/conversations?{query}" if query else "/conversations"

    def narrowed(self, condition: str) -> str:
        """The address with one more condition."""
        if not self.where:
            return self.address(where=condition)
        where = f"({self.where})" if " or " in self.where.lower() else self.where
        return self.address(where=f"{where} and {condition}")


@dataclass(frozen=True)
class Row:
    conversation: Conversation
    summary: str | None
    values: tuple[Shown, ...]
    fragments: tuple[Fragment, ...]


@dataclass(frozen=True)
class FacetValue:
    label: str
    count: int
    address: str


@dataclass(frozen=True)
class FacetShown:
    label: str
    values: tuple[FacetValue, ...]


@dataclass(frozen=True)
class Problem:
    """What is wrong with the filter: before, at and after the place where the trouble starts."""

    reason: str
    before: str = ""
    at: str = ""
    after: str = ""
    place: bool = False
    field: str = "where"


@dataclass(frozen=True)
class _Found:
    """One page. conversations: with what was found in them."""

    conversations: Sequence[tuple[Conversation, tuple[Fragment, ...]]] = ()
    total: int | None = None
    about: bool = False
    facets: Sequence[CountedFacet] = ()
    next_cursor: str | None = None
    notes: Sequence[str] = ()


@router.get("/conversations")
async def conversations(request: Request, visitor: Reader, services: Services) -> Response:
    asked = _asked(request)
    sensitive = visitor.may(Permission.SENSITIVE_FIELDS)
    fields = [f for f in await services.catalogue.fields(visitor.tenant_id) if sensitive or not f.sensitive]
    found, problem = _Found(), None
    conditions: tuple[tuple[str, str], ...] = ()
    try:
        if asked.searches:
            found = await _search(services, visitor, asked, fields, sensitive=sensitive)
            conditions = await services.search.conditions(visitor.tenant_id, asked.where, may_see_sensitive=sensitive)
        else:
            found = await _newest(services, visitor, asked, sensitive=sensitive)
    except InvalidInput as error:
        problem = _problem(error, asked)
    rows = await _rows(services, visitor, found.conversations, sensitive=sensitive)
    context = {
        "asked": asked,
        "rows": rows,
        "found": found,
        "problem": problem,
        "conditions": [(condition, asked.address(where=rest)) for condition, rest in conditions],
        "facets": _facets(found.facets, fields, asked),
        "sorts": _sorts(fields, asked),
        "numbers": [f for f in fields if f.type in (FieldType.INTEGER, FieldType.DECIMAL)],
        "MAX_QUERY": MAX_QUERY_CHARACTERS,
        "MAX_WHERE": MAX_LENGTH,
    }
    return render(request, "conversations.html", context, person=visitor.person, form=visitor.form)


def _asked(request: Request) -> Asked:
    query = request.query_params
    return Asked(
        query=query.get("q", "").strip(),
        where=query.get("where", "").strip(),
        sort=query.get("sort", "").strip()[:100],
        cursor=query.get("cursor") or None,
    )


async def _newest(services: ApiServices, visitor: Visitor, asked: Asked, *, sensitive: bool) -> _Found:
    """Without a search there is none: a page of an index, and counts that are there already."""
    page = await services.read.list(visitor.tenant_id, limit=PAGE, after=cursors.decode(asked.cursor))
    return _Found(
        conversations=[(conversation, ()) for conversation in page.items],
        facets=await services.dashboard.facets(visitor.tenant_id, sensitive=sensitive),
        next_cursor=cursors.encode(page.next_after),
    )


async def _search(
    services: ApiServices, visitor: Visitor, asked: Asked, fields: Sequence[CustomField], *, sensitive: bool
) -> _Found:
    if len(asked.query) > MAX_QUERY_CHARACTERS:
        raise InvalidInput.of("query", f"is longer than {MAX_QUERY_CHARACTERS:,} characters")
    if len(asked.where) > MAX_LENGTH:
        raise InvalidInput.of("filter", f"is longer than {MAX_LENGTH:,} characters")
    named = (*_FACETS, *(f.key for f in fields if f.options))[:_MAX_FACETS]
    wanted = SearchRequest(
        query=asked.query,
        where=asked.where or None,
        sort=asked.sort or None,
        facets=() if asked.cursor else named,
        limit=PAGE,
        cursor=asked.cursor if asked.cursor and len(asked.cursor) <= 2_000 else None,
    )
    result = await services.search.search(visitor.tenant_id, wanted, may_see_sensitive=sensitive)
    return _Found(
        conversations=[(hit.conversation, hit.fragments) for hit in result.hits],
        total=result.total,
        about=result.total_is_estimate,
        facets=result.facets,
        next_cursor=result.next_cursor,
        notes=result.notes,
    )


async def _rows(
    services: ApiServices,
    visitor: Visitor,
    found: Sequence[tuple[Conversation, tuple[Fragment, ...]]],
    *,
    sensitive: bool,
) -> list[Row]:
    if not found:
        return []
    ids = [conversation.id for conversation, _ in found]
    values, fields = await services.read.values_of(visitor.tenant_id, ids, sensitive=sensitive)
    return [_row(conversation, fragments, values[conversation.id], fields) for conversation, fragments in found]


def _row(
    conversation: Conversation,
    fragments: tuple[Fragment, ...],
    values: Sequence[FieldValue],
    fields: Mapping[str, CustomField],
) -> Row:
    shown = [shown_value(value, fields) for value in values if value.field_id in fields and value.value is not None]
    summary = next((s.text for s in shown if s.field == "summary"), None)
    brief = [s for s in shown if s.type is not FieldType.TEXT and s.aggregate is not Aggregate.COUNT]
    return Row(conversation, summary, tuple(brief), fragments)


# -- what stands around the rows ----------------------------------------------------------------------------


def _facets(facets: Sequence[CountedFacet], fields: Sequence[CustomField], asked: Asked) -> list[FacetShown]:
    by_key = {field.key: field for field in fields}
    shown = []
    for facet in facets:
        field = by_key.get(facet.name)
        labels = {option.id: option.label for option in field.options} if field else {}
        values = tuple(
            FacetValue(
                label=labels.get(str(v.value), str(v.value)),
                count=v.count,
                address=asked.narrowed(f"{facet.name} = {_literal(v.value)}"),
            )
            for v in facet.values[:_SHOWN_VALUES]
        )
        if values and (len(values) > 1 or facet.name in ("channel", "status")):
            shown.append(FacetShown(field.label if field else facet.name.capitalize(), values))
    return shown


def _literal(value: str | float | bool) -> str:
    """A value as a filter writes it: a text in quotes, so that it means nothing else."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return f"{value:g}"
    if value.isascii() and value.isidentifier() and value not in _WORDS:
        return value
    escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r")
    return f"'{escaped}'"


_WORD = re.compile(r"[\w.]+")
_WORDS = frozenset({"and", "or", "not", "now", "today", "true", "false"})


def _sorts(fields: Sequence[CustomField], asked: Asked) -> list[tuple[str, str]]:
    """(what the address says, words)."""
    sorts = [("", "Best match first")] if asked.query else []
    sorts += [("-started" if asked.query else "", "Newest first"), ("started", "Oldest first")]
    sorts += [("-duration", "Longest first")]
    for field in fields:
        if field.type in (FieldType.INTEGER, FieldType.DECIMAL):
            sorts += [(field.key, f"{field.label}, lowest first"), (f"-{field.key}", f"{field.label}, highest first")]
    return sorts


def _problem(error: InvalidInput, asked: Asked) -> Problem:
    first = error.problems[0] if error.problems else None
    reason = first.reason if first else error.message
    if isinstance(error, InvalidFilter) and error.column is not None:
        at = min(error.column - 1, len(asked.where))
        word = _WORD.match(asked.where, at)
        end = word.end() if word else at + 1
        reason = reason.removeprefix(f"column {error.column}: ")
        return Problem(
            reason=f"Column {error.column}: {reason}",
            before=asked.where[max(0, at - 60) : at],
            at=asked.where[at:end] or " ",
            after=asked.where[end : end + 60],
            place=True,
        )
    field = {"query": "q", "sort": "sort"}.get(first.field if first else "", "where")
    return Problem(reason=f"{first.field if first else 'This'} {reason}".capitalize(), field=field)
