"""How long a stage may take and how often it is tried, per stage and lane.

The numbers are data (`temporal-config/policies.toml`); `infra.temporal.policies` reads them once at process start
and sets the table here, where workflows find it. A changed number applies to the next activity that is scheduled:
Temporal's replay does not compare timeouts.
"""

from collections.abc import Mapping
from datetime import timedelta

from pydantic import Field

from domain.conversation import Frozen, Lane


class StagePolicy(Frozen):
    """Seconds, except attempts and backoff.

    schedule_to_close counts the time in the queue, so it is longer than the longest wait tolerated in that lane;
    start_to_close bounds one try; heartbeat None for stages too short to need one.
    """

    start_to_close: float = Field(gt=0)
    schedule_to_close: float = Field(gt=0)
    heartbeat: float | None = None
    maximum_attempts: int = Field(ge=1)
    initial_interval: float = Field(default=1.0, gt=0)
    backoff: float = Field(default=2.0, ge=1)
    maximum_interval: float = Field(default=60.0, gt=0)

    def timedeltas(self) -> tuple[timedelta, timedelta, timedelta | None]:
        """(schedule_to_close, start_to_close, heartbeat)."""
        heartbeat = None if self.heartbeat is None else timedelta(seconds=self.heartbeat)
        return timedelta(seconds=self.schedule_to_close), timedelta(seconds=self.start_to_close), heartbeat


PolicyTable = Mapping[tuple[str, Lane], StagePolicy]

_table: dict[tuple[str, Lane], StagePolicy] = {}


def use(table: PolicyTable) -> None:
    """Set the table for this process. Called once, before a worker is built."""
    _table.clear()
    _table.update(table)


def policy(key: str, lane: Lane, kind: str | None = None) -> StagePolicy:
    """The policy of a contract's key in a lane; an engine kind may have its own (`analyze.gemini`).

    Raises LookupError when the configuration lacks it.
    """
    found = _table.get((f"{key}.{kind}", lane)) or _table.get((key, lane))
    if found is None:
        raise LookupError(f"temporal-config/policies.toml has no policy for {key} in lane {lane.value}")
    return found
