"""Hands the demo's conversations in and watches them through the stages."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from api.schemas.conversations import ConversationOut
from cli.client import ParleyClient
from cli.demo import vendors
from cli.demo.corpus import DemoConversation
from domain.conversation import Channel, Stage, StageStatus, Status

ENDED = frozenset({Status.COMPLETED, Status.COMPLETED_WITH_GAPS, Status.PARKED, Status.FAILED})
STAGES = (Stage.INGEST, Stage.TRANSCRIBE, Stage.NORMALIZE, Stage.PLAN, Stage.ANALYZE, Stage.PERSIST)
AT_ONCE = 4
POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Handed:
    """A conversation that was accepted."""

    channel: Channel
    id: str


def run(
    client: ParleyClient, demos: Sequence[DemoConversation], console: Console, *, timeout_seconds: float = 300.0
) -> list[ConversationOut]:
    """Everything handed in, the senders' own forms first, the others side by side; and waited for until it ended, is
    found by search, or time is up."""
    with _progress(console) as progress:
        accepted = progress.add_task("accept", total=None)
        as_sent = [Handed(client.conversation(one).channel, one) for one in vendors.hand_in(client)]
        progress.update(accepted, total=len(as_sent) + len(demos), completed=len(as_sent))
        with ThreadPoolExecutor(AT_ONCE) as pool:
            handed = list(pool.map(lambda demo: _hand_in(client, demo, lambda: progress.advance(accepted)), demos))
        return _watch(client, [*handed, *as_sent], progress, time.monotonic() + timeout_seconds)


def _hand_in(client: ParleyClient, demo: DemoConversation, done: Callable[[], None]) -> Handed:
    answer = client.start(demo.ready(client.upload))
    done()
    return Handed(demo.channel, answer.id)


def _watch(
    client: ParleyClient, handed: Sequence[Handed], progress: Progress, deadline: float
) -> list[ConversationOut]:
    calls = sum(h.channel is Channel.CALL for h in handed)
    bars = {s: progress.add_task(s.value, total=calls if s is Stage.TRANSCRIBE else len(handed)) for s in STAGES}
    searchable = progress.add_task("searchable", total=len(handed))
    known: dict[str, ConversationOut] = {}
    while True:
        for one in handed:
            seen = known.get(one.id)
            if seen is None or not _over(seen):
                known[one.id] = client.conversation(one.id)
        _show(progress, bars, searchable, known)
        if all(_over(c) for c in known.values()) or time.monotonic() > deadline:
            return [known[one.id] for one in handed]
        time.sleep(POLL_SECONDS)


def _over(conversation: ConversationOut) -> bool:
    """Ended, and found by search if it got that far."""
    broken = conversation.status in (Status.FAILED, Status.PARKED)
    return conversation.status in ENDED and (conversation.searchable or broken)


def _show(progress: Progress, bars: dict[Stage, TaskID], searchable: TaskID, known: dict[str, ConversationOut]) -> None:
    finished = (StageStatus.COMPLETED, StageStatus.SKIPPED)
    done = Counter(stage.name for c in known.values() for stage in c.stages if stage.state in finished)
    # A stage that a conversation had no need of does not hold its bar up.
    ended = [c for c in known.values() if c.status in ENDED]
    for stage, bar in bars.items():
        unneeded = sum(stage not in {s.name for s in c.stages} for c in ended) if stage is not Stage.TRANSCRIBE else 0
        progress.update(bar, completed=done[stage] + unneeded)
    progress.update(searchable, completed=sum(c.searchable for c in known.values()))


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:>11}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console
    )
