"""Search in Postgres itself: for where there is no Meilisearch.

Words are found exactly (no forgiveness for slips of the pen). Row-level security holds for everything; the full-text
index is reached through one function that has the tenant inside (`search_match`, migration 0002).
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from domain.errors import InvalidInput, NotFound
from domain.filters.facts import is_hashed, token
from domain.search import (
    DocumentRef,
    Facet,
    Hit,
    PageKey,
    Refusal,
    SearchDocument,
    SearchHealth,
    SearchPage,
    SearchQuery,
    facet_values,
)
from storage.postgres.database import PostgresDatabase
from storage.postgres.errors import StorageDefect
from storage.search import vectors
from storage.search.postgres_sql import counts_statement, page_statement

if TYPE_CHECKING:
    from asyncpg import Record

_BATCH = 100
_SWEEP = 1_000

_PUT = """
insert into search_document as d
  (tenant_id, conversation_id, revision, started_ms, words, texts, numbers, flags, unknown, partial)
select
  $1,
  r.conversation_id,
  r.revision,
  r.started_ms,
  array(select jsonb_array_elements_text(r.words)::tsvector),
  r.texts,
  r.numbers,
  r.flags,
  array(select jsonb_array_elements_text(r.unknown)),
  r.partial
from jsonb_to_recordset($2::jsonb) as r (
  conversation_id uuid,
  revision integer,
  started_ms bigint,
  words jsonb,
  texts jsonb,
  numbers jsonb,
  flags jsonb,
  unknown jsonb,
  partial boolean
)
on conflict (tenant_id, conversation_id) do update
  set revision = excluded.revision,
      started_ms = excluded.started_ms,
      words = excluded.words,
      texts = excluded.texts,
      numbers = excluded.numbers,
      flags = excluded.flags,
      unknown = excluded.unknown,
      partial = excluded.partial,
      indexed_at = clock_timestamp()
"""

_DELETE = """
delete from search_document
where tenant_id = $1
  and conversation_id = any($2::uuid[])
"""

_DELETE_TENANT = """
delete from search_document
where tenant_id = $1
"""


class PostgresSearch:
    """See `storage.search.port.SearchIndex`. A rebuild replaces rows in place and then takes away what it left."""

    backend = "postgres"

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database
        self._rebuilding_since: datetime | None = None

    async def prepare(self) -> bool:
        return (await self.health()).documents == 0

    async def index(self, documents: Sequence[SearchDocument]) -> Sequence[Refusal]:
        newest = {(d.tenant_id, d.id): d for d in documents}
        of_tenant: dict[str, list[SearchDocument]] = defaultdict(list)
        for document in newest.values():
            of_tenant[document.tenant_id].append(document)
        refused: list[Refusal] = []
        for tenant_id, mine in of_tenant.items():
            for start in range(0, len(mine), _BATCH):
                refused += await self._put(tenant_id, mine[start : start + _BATCH])
        return refused

    async def fill(self, documents: Sequence[SearchDocument]) -> Sequence[Refusal]:
        return await self.index(documents)

    async def _put(self, tenant_id: str, documents: Sequence[SearchDocument]) -> list[Refusal]:
        """Halves a batch that is refused until the bad ones stand alone."""
        try:
            async with self._database.tenant_tx(tenant_id) as tx:
                await tx.session.execute(_PUT, tenant_id, [_row(document) for document in documents])
        except (InvalidInput, StorageDefect, NotFound) as error:
            if len(documents) == 1:
                return [Refusal(DocumentRef(tenant_id, documents[0].id), error.message)]
            middle = len(documents) // 2
            return [
                *await self._put(tenant_id, documents[:middle]),
                *await self._put(tenant_id, documents[middle:]),
            ]
        return []

    async def delete(self, documents: Sequence[DocumentRef]) -> None:
        of_tenant: dict[str, list[str]] = defaultdict(list)
        for document in documents:
            of_tenant[document.tenant_id].append(document.id)
        for tenant_id, ids in of_tenant.items():
            async with self._database.tenant_tx(tenant_id) as tx:
                await tx.session.execute(_DELETE, tenant_id, ids)

    async def delete_tenant(self, tenant_id: str) -> None:
        async with self._database.tenant_tx(tenant_id) as tx:
            await tx.session.execute(_DELETE_TENANT, tenant_id)

    async def search(self, query: SearchQuery) -> SearchPage:
        page = page_statement(query)
        async with self._database.tenant_tx(query.tenant_id) as tx:
            rows = await tx.session.rows(page.sql, *page.arguments)
            counted: Sequence[Record] = ()
            if query.after is None:
                counts = counts_statement(query)
                counted = await tx.session.rows(counts.sql, *counts.arguments)
        kept = rows[: query.limit]
        return SearchPage(
            hits=tuple(_hit(row, query) for row in kept),
            total=next((row["found"] for row in counted if row["facet"] == -1), None),
            facets=_facets(query, counted) if query.after is None else (),
            next=_key(kept[-1]) if len(rows) > len(kept) else None,
        )

    async def begin_rebuild(self) -> None:
        self._rebuilding_since = await self._database.platform.search_clock()

    async def finish_rebuild(self) -> None:
        if self._rebuilding_since is None:
            return
        while await self._database.platform.search_sweep(self._rebuilding_since, _SWEEP):
            pass
        self._rebuilding_since = None

    async def abandon_rebuild(self) -> None:
        self._rebuilding_since = None

    async def health(self) -> SearchHealth:
        return SearchHealth(
            backend=self.backend,
            documents=await self._database.platform.search_documents(),
            waiting=0,
            rebuilding=self._rebuilding_since is not None,
            forgives_typos=False,
        )

    async def close(self) -> None:
        """The database belongs to whoever made it."""


def _row(document: SearchDocument) -> dict[str, object]:
    words, whole = vectors.vectors(document.turns)
    facts = document.facts
    return {
        "conversation_id": document.id,
        "revision": document.revision,
        "started_ms": document.started_ms,
        "words": words,
        "texts": {key: {token(t): None if is_hashed(token(t)) else t for t in ts} for key, ts in facts.texts.items()},
        "numbers": facts.numbers,
        "flags": facts.flags,
        "unknown": sorted(facts.unknown),
        "partial": document.partial or not whole,
    }


def _hit(row: "Record", query: SearchQuery) -> Hit:
    return Hit(
        id=row["conversation_id"],
        revision=row["revision"],
        score=row["score"] if query.order is None else None,
        partial=row["partial"],
    )


def _key(row: "Record") -> PageKey:
    return PageKey(id=row["conversation_id"], value=row["value"], score=row["score"], started_ms=row["started_ms"])


def _facets(query: SearchQuery, rows: "Sequence[Record]") -> tuple[Facet, ...]:
    facets = []
    for number, request in enumerate(query.facets):
        mine = [row for row in rows if row["facet"] == number]
        counts = [
            (next(row[name] for name in ("label", "number", "flag") if row[name] is not None), row["found"])
            for row in mine
        ]
        facets.append(Facet(request.key, facet_values(counts)))
    return tuple(facets)
