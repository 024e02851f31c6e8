"""What must hold whatever was killed: everything handed in is stored, once, and every answer was paid for once."""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from tests.support.counting_model import CountingModel, number_of
from tests.support.running_stack import RunningStack, until

_ENDED_BADLY = {"completed_with_gaps", "parked", "failed"}


@dataclass(frozen=True)
class Stored:
    """One tenant's conversations, as the database has them."""

    stack: RunningStack
    tenant_id: str

    def statuses(self) -> Counter[str]:
        rows = self.stack.rows(
            "select status, count(*) from conversation where tenant_id = %s group by status", self.tenant_id
        )
        return Counter({str(status): int(count) for status, count in rows})

    def until_completed(self, count: int, seconds: float) -> None:
        """At least so many have completed. Raises AssertionError when one ends in any other way."""

        def completed() -> bool:
            statuses = self.statuses()
            assert not statuses.keys() & _ENDED_BADLY, self.told()
            return statuses["completed"] >= count

        until(completed, seconds, self.told)

    def until_indexed(self, seconds: float) -> None:
        """The search index has seen the last change of every conversation."""
        query = "select count(*) from search_outbox where tenant_id = %s"
        until(lambda: self.stack.rows(query, self.tenant_id) == [(0,)], seconds, self.told)

    def told(self) -> str:
        """Where the unfinished ones are, and what runs."""
        stages = self.stack.rows(
            """
            select s.stage, s.state, s.attempts, s.last_error, count(*)
            from stage_state s
            join conversation c on c.tenant_id = s.tenant_id and c.id = s.conversation_id
            where c.tenant_id = %s
              and c.status <> 'completed'
            group by 1, 2, 3, 4
            """,
            self.tenant_id,
        )
        return "\n".join([str(dict(self.statuses())), *map(str, stages), self.stack.told()])

    def recorded(self) -> set[int]:
        """Numbers of the provider's answers that are recorded as answered."""
        rows = self.stack.rows(
            "select answer from engine_call where tenant_id = %s and outcome = 'answered'", self.tenant_id
        )
        return {number_of(answer) for (answer,) in rows}

    def check(self, external_ids: Collection[str], fields: Collection[str], tasks: int) -> None:
        """Every conversation completed and is found; one row of each, one value of each field, one effect of each. The
        tasks of a conversation are asked in one call, whose bill they share."""
        rows = self._all("external_id, status, revision, searchable", "conversation")
        assert Counter(rows) == Counter((external_id, "completed", 1, True) for external_id in external_ids)
        count = len(rows)
        assert self._counts("revision", "conversation_revision") == {(1,): count}
        assert self._counts("entry, state", "conversation_entry") == {(1, "closed"): count}
        assert self._counts("released_at is not null", "conversation_lease") == {(True,): count}
        assert self._counts("state, reason", "task_run") == {("ran", None): count * tasks}
        values = self._counts("field_key, layer, superseded_at is null, evidence_state", "field_value")
        assert values == {(key, "ai", True, "verified"): count for key in fields}
        assert self._counts("count(*) over (partition by conversation_id)", "field_value") == {
            (len(fields),): count * len(fields)
        }
        rollups = self.stack.rows(
            """
            select f.key, sum(c.count)
            from (
              select field_id, count from rollup_delta where tenant_id = %s
              union all
              select field_id, count from rollup where tenant_id = %s
            ) c
            join custom_field f on f.id = c.field_id
            group by f.key
            """,
            self.tenant_id,
            self.tenant_id,
        )
        assert {key: int(total) for key, total in rollups} == dict.fromkeys(fields, count)
        assert self._counts("outcome, cardinality(parts)", "engine_call") == {("answered", tasks): count}
        assert self._counts("requests", "usage_event") == {(1,): count, (0,): count * (tasks - 1)}
        assert self._counts("kind", "event_outbox") == {("conversation.completed",): count}
        assert self._counts("stage", "dead_letter") == {}

    def _all(self, columns: str, table: str) -> list[tuple[object, ...]]:
        return list(self.stack.rows(f"select {columns} from {table} where tenant_id = %s", self.tenant_id))

    def _counts(self, columns: str, table: str) -> dict[tuple[object, ...], int]:
        return dict(Counter(self._all(columns, table)))


@dataclass(frozen=True)
class Repeated:
    """Requests the provider saw more than once: how often in all."""

    asked: int
    repeated: int


def check_asked_once(stored: Stored, model: CountingModel, lost: Iterable[int] = ()) -> Repeated:
    """Held against the provider's own count: of every request exactly one answer is recorded, it is the last one
    asked for, and whatever was asked before it was under way when its worker was killed.

    lost: numbers of the requests that were under way at a kill.
    """
    recorded, under_way = stored.recorded(), set(lost)
    requests = model.by_request()
    for asked in requests.values():
        numbers = [one.number for one in asked]
        assert [number for number in numbers if number in recorded] == numbers[-1:]
        assert set(numbers[:-1]) <= under_way
    total = sum(map(len, requests.values()))
    return Repeated(total, total - len(requests))
