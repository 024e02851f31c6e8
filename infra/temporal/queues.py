"""Who serves the task queues and what waits in them: `services.ports.QueueInspector` on a Temporal client."""

import asyncio
import tomllib
from collections.abc import Sequence
from pathlib import Path

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest, DescribeTaskQueueResponse
from temporalio.client import Client

from domain.contracts import QueueKind, task_queue
from domain.errors import ParleyError
from infra.temporal.rpc import RPC_TIMEOUT, bounded
from services.ports import Pollers


class QueuesUnknown(ParleyError):
    """`workers.toml` cannot be read, or names no queue."""

    code = "configuration"
    title = "The task queues are not known"


def task_queues(config_dir: Path) -> tuple[str, ...]:
    """Every task queue some worker role serves, in the order of `workers.toml`. Raises QueuesUnknown."""
    path = config_dir / "workers.toml"
    try:
        roles = tomllib.loads(path.read_text(encoding="utf-8"))["roles"]
        specs = [spec for role in roles.values() for spec in role["queues"]]
        named = [task_queue(QueueKind(spec["queue"]), spec.get("kind")) for spec in specs]
    except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        raise QueuesUnknown(f"{path.name} cannot be read: {type(error).__name__}") from error
    return tuple(dict.fromkeys(named))


class TemporalQueues:
    """Fulfils `services.ports.QueueInspector`. The server caches backlog figures for about five seconds."""

    def __init__(self, client: Client, task_queues: Sequence[str]) -> None:
        self._client = client
        self._task_queues = tuple(task_queues)

    async def queues(self) -> Sequence[Pollers]:
        """One row per task queue, in the order configured. Raises Unavailable."""
        async with bounded("describe task queues"):
            return await asyncio.gather(*(self._queue(name) for name in self._task_queues))

    async def pollers(self, task_queue: str, kind: TaskQueueType.ValueType) -> frozenset[str]:
        """Identities of the workers that poll a queue. Raises Unavailable."""
        async with bounded("describe a task queue"):
            answer = await self._describe(task_queue, kind)
        return frozenset(poller.identity for poller in answer.pollers)

    async def _queue(self, name: str) -> Pollers:
        workflows = await self._describe(name, TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW)
        activities = await self._describe(name, TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY)
        stats = (workflows.stats, activities.stats)
        return Pollers(
            task_queue=name,
            workflow_pollers=len(workflows.pollers),
            activity_pollers=len(activities.pollers),
            backlog=sum(stat.approximate_backlog_count for stat in stats),
            backlog_age_seconds=max(stat.approximate_backlog_age.ToTimedelta().total_seconds() for stat in stats),
        )

    async def _describe(self, name: str, kind: TaskQueueType.ValueType) -> DescribeTaskQueueResponse:
        return await self._client.workflow_service.describe_task_queue(
            DescribeTaskQueueRequest(
                namespace=self._client.namespace,
                task_queue=TaskQueue(name=name),
                task_queue_type=kind,
                report_stats=True,
            ),
            timeout=RPC_TIMEOUT,
        )
