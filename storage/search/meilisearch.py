"""Search in Meilisearch. One shared index; the tenant is a filter of its own, beside whatever a caller asks."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

from meilisearch import Client
from meilisearch.models.task import TaskInfo

from domain.errors import InvalidInput, NotFound, Unavailable
from domain.filters.conditions import conditions
from domain.ids import is_tenant_id
from domain.search import (
    DocumentRef,
    PageKey,
    Refusal,
    SearchDocument,
    SearchHealth,
    SearchPage,
    SearchQuery,
)
from storage.search.meilisearch_answers import Answer, counted_kinds, facet_of, page_of
from storage.search.meilisearch_client import MeilisearchClients, NoIndex, SearchDefect, WriteRefused
from storage.search.meilisearch_documents import (
    MAX_TOTAL,
    PRIMARY_KEY,
    changed_settings,
    document_key,
    query_text,
    settings,
    to_json,
)
from storage.search.meilisearch_filter import (
    ID,
    STARTED,
    attribute,
    behind,
    condition_filter,
    of_tenant,
    one_of,
    sort_rules,
    sorted_attribute,
)

_Body: TypeAlias = tuple[DocumentRef, dict[str, Any]]

_BATCH_DOCUMENTS = 1_000
_BATCH_BYTES = 8 * 1024 * 1024
_SLACK = 50
"""Rows read before the expected place of a page by relevance, in case the order moved meanwhile."""


class MeilisearchSearch:
    """See `storage.search.port.SearchIndex`. A rebuild fills `{uid}-next` and swaps the two.

    uid: lower-case name of the cell's index.
    """

    backend = "meilisearch"

    def __init__(
        self,
        url: str,
        key: str | None,
        uid: str,
        *,
        timeout_seconds: float = 10.0,
        write_seconds: float = 120.0,
    ) -> None:
        self._clients = MeilisearchClients(url, key, timeout_seconds=timeout_seconds, write_seconds=write_seconds)
        self._uid = uid
        self._next = f"{uid}-next"
        self._rebuilding = False

    # -- set-up -------------------------------------------------------------------------------------------

    async def prepare(self) -> bool:
        try:
            changed = await self._changed_settings()
        except NoIndex:
            await self._drop(self._next)
            await self._create(self._next)
            # Renamed, so that nobody ever searches an index without its settings.
            pair: list[Mapping[str, list[str] | bool]] = [{"indexes": [self._next, self._uid], "rename": True}]
            await self._clients.write(lambda client: client.swap_indexes(pair))
            return True
        # Changed in place, settings would hold writes up for as long as a rebuild takes, and searches be refused.
        return bool(changed) or (await self.health()).documents == 0

    async def _changed_settings(self) -> Mapping[str, Any]:
        current = await self._clients.call(lambda client: client.index(self._uid).get_settings())
        return changed_settings(current)

    async def _create(self, uid: str) -> None:
        await self._clients.write(
            lambda client: client.create_index(uid, {"primaryKey": PRIMARY_KEY}),
            lambda client: client.index(uid).update_settings(settings()),
        )

    async def remove(self) -> None:
        """Deletes the index and what a rebuild left."""
        for uid in (self._uid, self._next):
            await self._drop(uid)

    async def _drop(self, uid: str) -> None:
        try:
            await self._clients.write(lambda client: client.delete_index(uid))
        except NoIndex:
            return

    # -- writing ------------------------------------------------------------------------------------------

    async def index(self, documents: Sequence[SearchDocument]) -> Sequence[Refusal]:
        return await self._put_all(documents, self._written)

    async def fill(self, documents: Sequence[SearchDocument]) -> Sequence[Refusal]:
        return await self._put_all(documents, (self._next,))

    @property
    def _written(self) -> tuple[str, ...]:
        return (self._uid, self._next) if self._rebuilding else (self._uid,)

    async def _put_all(self, documents: Sequence[SearchDocument], uids: Sequence[str]) -> list[Refusal]:
        for uid in uids:
            await self._must_exist(uid)
        newest = {document_key(d.tenant_id, d.id): d for d in documents}
        sized, refused = _sized(newest.values())
        for batch in _batches(sized):
            bad = await self._put(batch, uids)
            if len(bad) == len(batch) > 1:
                raise Unavailable("the search engine refuses every document")
            refused += bad
        return refused

    async def _must_exist(self, uid: str) -> None:
        """The engine would create an index that is not there, with settings of its own."""
        await self._clients.call(lambda client: client.get_raw_index(uid))

    async def _put(self, batch: Sequence[_Body], uids: Sequence[str]) -> list[Refusal]:
        """One bad document fails the whole payload: a refused batch is halved until the bad ones stand alone."""
        payload = [body for _, body in batch]

        def add(uid: str, client: Client) -> TaskInfo:
            return client.index(uid).add_documents(payload, primary_key=PRIMARY_KEY)

        try:
            await self._clients.write(*[partial(add, uid) for uid in uids])
        except WriteRefused as error:
            if len(batch) == 1:
                return [Refusal(batch[0][0], f"the search engine refuses the document ({error.reason})")]
            middle = len(batch) // 2
            return [*await self._put(batch[:middle], uids), *await self._put(batch[middle:], uids)]
        return []

    async def delete(self, documents: Sequence[DocumentRef]) -> None:
        keys = [document_key(d.tenant_id, d.id) for d in documents]
        for start in range(0, len(keys), _BATCH_DOCUMENTS):
            await self._delete_where(one_of(PRIMARY_KEY, keys[start : start + _BATCH_DOCUMENTS]))

    async def delete_tenant(self, tenant_id: str) -> None:
        if is_tenant_id(tenant_id):
            await self._delete_where(of_tenant(tenant_id))

    async def _delete_where(self, where: str) -> None:
        def delete(uid: str, client: Client) -> TaskInfo:
            return client.index(uid).delete_documents(filter=where)

        await self._clients.write(*[partial(delete, uid) for uid in self._written])

    # -- rebuilding ---------------------------------------------------------------------------------------

    async def begin_rebuild(self) -> None:
        self._rebuilding = False
        await self._drop(self._next)
        await self._create(self._next)
        self._rebuilding = True

    async def finish_rebuild(self) -> None:
        if not self._rebuilding:
            return
        pair: list[Mapping[str, list[str] | bool]] = [{"indexes": [self._uid, self._next]}]
        await self._clients.write(lambda client: client.swap_indexes(pair))
        self._rebuilding = False
        await self._drop(self._next)

    async def abandon_rebuild(self) -> None:
        self._rebuilding = False
        await self._drop(self._next)

    # -- searching ----------------------------------------------------------------------------------------

    async def search(self, query: SearchQuery) -> SearchPage:
        if not is_tenant_id(query.tenant_id):
            raise NotFound("no such tenant")
        if query.order is None and query.after is not None:
            return await self._next_by_relevance(query, query.after)
        order, after = query.order, query.after
        asked = _asked(query)
        if order is not None:
            asked["sort"] = sort_rules(order)
            if after is not None:
                asked["filter"] = [*asked["filter"], behind(order, after)]
        if after is not None:
            answer = await self._ask(query, {**asked, "limit": query.limit + 1})
            return page_of(query, answer.rows, offset=0)
        return await self._first_page(query, asked)

    async def _first_page(self, query: SearchQuery, asked: Mapping[str, Any]) -> SearchPage:
        """With facets and an exact total, which only this one of the engine's two ways of paging gives."""
        counted = [attribute(kind, facet.key) for facet in query.facets for kind in counted_kinds(facet)]
        answer = await self._ask(query, {**asked, "page": 1, "hitsPerPage": query.limit + 1, "facets": counted or None})
        page = page_of(query, answer.rows, offset=0)
        return SearchPage(
            hits=page.hits,
            total=answer.total,
            total_is_estimate=answer.total >= MAX_TOTAL,
            facets=tuple(facet_of(request, answer.facets) for request in query.facets),
            next=page.next,
        )

    async def _next_by_relevance(self, query: SearchQuery, after: PageKey) -> SearchPage:
        """Scores cannot be filtered by: read around the place where the last page ended, find its last row there, and
        go on behind it. Rows that came in before it moved it, so the place is looked for further and further around.
        """
        slack = _SLACK
        while True:
            start = max(0, after.offset - slack)
            limit = after.offset - start + slack + query.limit + 1
            answer = await self._ask(query, {**_asked(query), "offset": start, "limit": limit})
            rows = answer.rows
            place = next((number for number, row in enumerate(rows) if row.id == after.id), None)
            everything = start == 0 and len(rows) < limit
            if place is None and not everything and slack < MAX_TOTAL:
                slack *= 4
                continue
            if place is None:  # it is gone: what ranks below it follows
                last = (-after.score, -after.started_ms, after.id)
                below = (number for number, row in enumerate(rows) if row.rank > last)
                place = next(below, len(rows)) - 1
            behind_it = rows[place + 1 :]
            enough = len(behind_it) > query.limit or len(rows) < limit
            if not enough and slack < MAX_TOTAL:
                slack *= 4
                continue
            return page_of(query, behind_it[: query.limit + 1], offset=start + place + 1)

    async def _ask(self, query: SearchQuery, options: dict[str, Any]) -> Answer:
        text = query_text(query.words) if query.words else ""
        sorted_by = None if query.order is None else sorted_attribute(query.order)
        try:
            return await self._clients.call(
                lambda client: Answer.read(client.index(self._uid).search(text, options), sorted_by)
            )
        except SearchDefect:
            if await self._changed_settings():  # an older index refuses what only the coming one can answer
                raise Unavailable("the search index is being brought up to date") from None
            raise

    # -- health -------------------------------------------------------------------------------------------

    async def health(self) -> SearchHealth:
        def look(client: Client) -> tuple[int, int]:
            stats = client.index(self._uid).get_stats()
            waiting = client.get_tasks({"indexUids": self._uid, "statuses": "enqueued,processing", "limit": 1})
            return int(stats.number_of_documents), int(waiting.total)

        documents, waiting = await self._clients.call(look)
        return SearchHealth(self.backend, documents, waiting, rebuilding=self._rebuilding, forgives_typos=True)

    async def close(self) -> None:
        """Every call opens and closes its own connection."""


def _sized(documents: Iterable[SearchDocument]) -> tuple[list[tuple[_Body, int]], list[Refusal]]:
    """Each document's body and its bytes; and those that are no JSON the engine could read."""
    sized: list[tuple[_Body, int]] = []
    refused: list[Refusal] = []
    for document in documents:
        ref, body = DocumentRef(document.tenant_id, document.id), to_json(document)
        try:
            sized.append(((ref, body), len(json.dumps(body, ensure_ascii=False, allow_nan=False).encode())))
        except ValueError:  # half a surrogate pair, not a number
            refused.append(Refusal(ref, "a text or a number of it cannot be sent"))
    return sized, refused


def _batches(sized: Sequence[tuple[_Body, int]]) -> Iterator[list[_Body]]:
    batch: list[_Body] = []
    size = 0
    for body, length in sized:
        if batch and (size + length > _BATCH_BYTES or len(batch) == _BATCH_DOCUMENTS):
            yield batch
            batch, size = [], 0
        batch.append(body)
        size += length
    if batch:
        yield batch


def _asked(query: SearchQuery) -> dict[str, Any]:
    """What every search of this query has. In the array form each filter stands alone: none can undo the tenant's."""
    where = None if query.where is None else condition_filter(conditions(query.where))
    order = query.order
    retrieved = [ID, STARTED, "revision", "partial", "turn_numbers"]
    if order is not None:
        retrieved.append(sorted_attribute(order))
    return {
        "filter": [of_tenant(query.tenant_id), *([where] if where else [])],
        "matchingStrategy": "all",
        "attributesToRetrieve": list(dict.fromkeys(retrieved)),
        "showRankingScore": order is None,
        "showMatchesPosition": bool(query.words.terms),
    }


def check_uid(uid: str) -> str:
    """An index name the engine takes. Raises InvalidInput."""
    if not uid or not all(c.isascii() and (c.isalnum() or c in "-_") for c in uid) or len(uid) > 400:
        raise InvalidInput.of("search_index", "has letters, digits, - and _ only")
    return uid
