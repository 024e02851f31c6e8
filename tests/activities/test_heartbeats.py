"""Heartbeats follow progress, and are no more than the server needs."""

import asyncio

from temporalio import activity
from temporalio.testing import ActivityEnvironment

from activities.support import BEAT_SECONDS, heartbeat_on_progress


async def test_beats_come_on_progress_and_not_too_often():
    now = 0.0
    beats: list[float] = []

    @activity.defn
    async def work() -> None:
        nonlocal now
        beat = heartbeat_on_progress(lambda: now)
        for share in (0.1, 0.2, 0.3, 0.4):
            now = share * 10 * BEAT_SECONDS * 0.6  # 0.6, 1.2, 1.8 and 2.4 of the least distance
            await asyncio.to_thread(beat, share)
        await asyncio.sleep(0)

    environment = ActivityEnvironment()
    environment.on_heartbeat = beats.append
    await environment.run(work)

    assert beats == [0.2, 0.4]
