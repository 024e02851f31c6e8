"""What use cases and stages tell whoever watches: `infra.telemetry` turns it into spans, metrics and facts beside log
lines. Ids, counts and codes only; no text, no names."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from enum import StrEnum
from typing import Protocol

from domain.conversation import Channel, Lane
from domain.ledger import TaskRun
from storage.protocols import AcceptOutcome, DirtyConversation


class IndexOutcome(StrEnum):
    """What became of one conversation in one round of the indexer."""

    INDEXED = "indexed"
    REMOVED = "removed"
    DEFERRED = "deferred"
    DEAD_LETTERED = "dead_lettered"


class Accepting(Protocol):
    """One acceptance under way."""

    def ended(self, outcome: AcceptOutcome, revision: int) -> None:
        """Not called when it was refused or failed."""
        ...


class Indexing(Protocol):
    """One round of the indexer under way."""

    def ended(self, item: DirtyConversation, outcome: IndexOutcome) -> None: ...


class Observer(Protocol):
    """Cheap and never raises."""

    def accepting(
        self, tenant_id: str, conversation_id: str, channel: Channel, lane: Lane
    ) -> AbstractContextManager[Accepting]:
        """Around an acceptance, from when the conversation's id is known."""
        ...

    def tasks(self, runs: Sequence[TaskRun]) -> None:
        """Task runs as they were planned or skipped, and as they ended."""
        ...

    def indexing(self, items: Sequence[DirtyConversation]) -> AbstractContextManager[Indexing]:
        """Around a round that has something to do."""
        ...


class Unobserved:
    """Nobody watches."""

    @contextmanager
    def accepting(self, tenant_id: str, conversation_id: str, channel: Channel, lane: Lane) -> Iterator[Accepting]:
        yield _Nothing()

    def tasks(self, runs: Sequence[TaskRun]) -> None:
        pass

    @contextmanager
    def indexing(self, items: Sequence[DirtyConversation]) -> Iterator[Indexing]:
        yield _Nothing()


class _Nothing:
    def ended(self, *told: object) -> None:
        pass
