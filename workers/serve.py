"""Builds the SDK's workers of a role, with slots, pollers and timeouts set on purpose."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version
from typing import Any

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.client import Client
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.worker import PollerBehaviorAutoscaling, Worker, WorkerDeploymentConfig

from workers.roles import WORKFLOWS, QueueSpec, RolesError

GRACEFUL_SHUTDOWN = timedelta(seconds=30)
STICKY_TIMEOUT = timedelta(seconds=2)
"""How long a workflow task waits for the worker that has the run in memory. Short, so that a killed worker's runs
move on; heartbeats of the same order let its activities be missed as soon."""
HEARTBEAT_THROTTLE = timedelta(seconds=2)

BUILD_ID = f"parley-{version('parley')}"

Activity = Callable[..., Any]


@dataclass(frozen=True)
class Deployment:
    """Worker versioning: conversations are pinned to the build they began with."""

    name: str
    build_id: str


def build_worker(
    client: Client, spec: QueueSpec, activities: Mapping[str, Activity], deployment: Deployment | None = None
) -> Worker:
    """One worker of one queue. `activities` by contract name.

    Raises:
        RolesError: an activity that the role names is not among them.
    """
    if missing := set(spec.activities) - set(activities):
        raise RolesError(f"queue {spec.task_queue}: activity {', '.join(sorted(missing))} is not built")
    return Worker(
        client,
        task_queue=spec.task_queue,
        workflows=[WORKFLOWS[name] for name in spec.workflows],
        activities=[activities[name] for name in spec.activities],
        max_concurrent_workflow_tasks=spec.workflow_slots,
        max_cached_workflows=spec.cached_workflows if spec.workflows else 0,
        max_concurrent_activities=spec.activity_slots,
        max_concurrent_local_activities=spec.local_activity_slots,
        max_task_queue_activities_per_second=spec.activities_per_second,
        workflow_task_poller_behavior=_autoscaling(spec.workflow_pollers),
        activity_task_poller_behavior=_autoscaling(spec.activity_pollers),
        sticky_queue_schedule_to_start_timeout=STICKY_TIMEOUT,
        default_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
        max_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
        graceful_shutdown_timeout=GRACEFUL_SHUTDOWN,
        deployment_config=_deployment_config(deployment),
        # Without a name of its own the SDK hashes the code of every module loaded: seconds at every start.
        build_id=None if deployment else BUILD_ID,
    )


def polled(spec: QueueSpec) -> list[tuple[str, TaskQueueType.ValueType]]:
    """The task queues, by type, that a worker of the spec polls."""
    kinds = []
    if spec.workflows:
        kinds.append(TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW)
    if spec.activities:
        kinds.append(TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY)
    return [(spec.task_queue, kind) for kind in kinds]


def _autoscaling(maximum: int) -> PollerBehaviorAutoscaling:
    return PollerBehaviorAutoscaling(minimum=1, maximum=maximum, initial=min(2, maximum))


def _deployment_config(deployment: Deployment | None) -> WorkerDeploymentConfig | None:
    if deployment is None:
        return None
    return WorkerDeploymentConfig(
        version=WorkerDeploymentVersion(deployment_name=deployment.name, build_id=deployment.build_id),
        use_worker_versioning=True,
        default_versioning_behavior=VersioningBehavior.PINNED,
    )
