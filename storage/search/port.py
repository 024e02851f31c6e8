"""What a search index promises. Two adapters keep it, and one contract suite holds them to it."""

from collections.abc import Sequence
from typing import Protocol

from domain.search import DocumentRef, Refusal, SearchDocument, SearchHealth, SearchPage, SearchQuery


class SearchIndex(Protocol):
    """One index for all tenants of a cell; every search is fenced by its tenant.

    One writer at a time: whoever leads the indexing (`services.index`). Any number of readers. Every method raises
    Unavailable when the index does not answer or does not carry out a write in time.
    """

    backend: str

    async def prepare(self) -> bool:
        """Creates the index where it is missing and brings its settings up to date. Safe to repeat; a start-up step
        of the writer. Settings that are right already are not touched.

        True when a rebuild is due: there was no index, it is empty, or it was made with other settings.
        """
        ...

    async def index(self, documents: Sequence[SearchDocument]) -> Sequence[Refusal]:
        """Puts the documents in, whole, in place of what was there under their ids. When it returns they are found.

        Answers those the index will never take; the others are in. The last one wins when an id comes twice.
        """
        ...

    async def delete(self, documents: Sequence[DocumentRef]) -> None:
        """Takes documents out; those that are not there are no matter."""
        ...

    async def delete_tenant(self, tenant_id: str) -> None:
        """Takes everything of a tenant out."""
        ...

    async def search(self, query: SearchQuery) -> SearchPage: ...

    async def begin_rebuild(self) -> None:
        """Starts to build the index anew. Searches go on and see every document whole, as it was or as it is now.
        `index` and `delete` keep what is there and what is being built up to date. What an earlier rebuild left
        unfinished is thrown away."""
        ...

    async def fill(self, documents: Sequence[SearchDocument]) -> Sequence[Refusal]:
        """As `index`, for what is being built; it need not be found before `finish_rebuild`."""
        ...

    async def finish_rebuild(self) -> None:
        """From here searches see what was filled in and indexed since `begin_rebuild`, and nothing else."""
        ...

    async def abandon_rebuild(self) -> None:
        """Gives the rebuild up; searches see what they saw."""
        ...

    async def health(self) -> SearchHealth: ...

    async def close(self) -> None: ...
