"""Services behind the API that need no server: explanations in words, remembered answers, upload tokens."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from domain.contracts import CONTRACTS, RunRef
from domain.conversation import Channel, Conversation, Stage, StageState, StageStatus, Status
from domain.errors import Forbidden, ParleyError, Unauthenticated
from domain.ids import new_id, new_tenant_id
from domain.ledger import REASONS, Reason
from services.briefly import Briefly
from services.explain_progress import Moment, explain_progress
from services.ports import PendingStep, RunInspection
from services.stop_reasons import text_of
from services.uploads import UploadTokens
from storage.protocols import RunEntry
from workflows.endings import PARKING

NOW = datetime(2026, 11, 12, 9, 30, tzinfo=UTC)
TENANT, CONVERSATION = new_tenant_id(), new_id()
RUN = RunRef(tenant_id=TENANT, conversation_id=CONVERSATION, revision=1, entry=1)


def conversation(status: Status = Status.PROCESSING, *stages: StageState, reason: str | None = None) -> Conversation:
    return Conversation(
        tenant_id=TENANT,
        id=CONVERSATION,
        source="phone",
        external_id="1",
        channel=Channel.CALL,
        revision=1,
        status=status,
        status_reason=reason,
        started_at=NOW,
        received_at=NOW,
        stages=stages,
        created_at=NOW,
        updated_at=NOW,
    )


def entry(state: str = "started", *, not_before: datetime | None = None, reason: str = "created") -> RunEntry:
    return RunEntry(
        run=RUN,
        channel=Channel.CALL,
        enter_at=Stage.INGEST,
        task_ids=(),
        state=state,
        reason=reason,
        not_before=not_before,
        created_at=NOW,
    )


def running(*steps: PendingStep, status: str = "running") -> RunInspection:
    return RunInspection(workflow_id=RUN.workflow_id, temporal_run_id="r", status=status, pending=steps)


def test_a_stage_between_two_tries() -> None:
    again = NOW + timedelta(seconds=30)
    step = PendingStep(
        stage="transcribe",
        state="scheduled",
        attempt=3,
        maximum_attempts=5,
        last_failure="engine_unavailable: the engine answered 503",
        next_retry_at=again,
    )
    transcribing = StageState(name=Stage.TRANSCRIBE, state=StageStatus.RUNNING, attempts=2, started_at=NOW)
    found = explain_progress(Moment(conversation(Status.PROCESSING, transcribing), entry(), (), running(step), True))
    assert (found.stage, found.attempts, found.maximum_attempts) == (Stage.TRANSCRIBE, 3, 5)
    assert (found.last_error, found.next_retry_at, found.since) == (step.last_failure, again, NOW)
    assert "try 3 of 5, at 2026-11-12 09:30:30 UTC" in found.words
    assert "503" in found.words


def test_a_stage_without_a_worker_and_one_that_runs() -> None:
    waiting = PendingStep(stage="analyze", state="scheduled", attempt=1, maximum_attempts=4)
    assert (
        "waits for a free worker" in explain_progress(Moment(conversation(), entry(), (), running(waiting), True)).words
    )
    busy = PendingStep(stage="analyze", state="started", attempt=2, maximum_attempts=4, last_failure="engine_timeout")
    found = explain_progress(Moment(conversation(), entry(), (), running(busy), True))
    assert "is running, try 2 of 4" in found.words
    assert found.state is StageStatus.RUNNING


@pytest.mark.parametrize(
    ("state", "inspection", "answered", "says"),
    [
        ("pending", None, False, "Temporal does not answer"),
        ("pending", None, None, "about to be started"),
        ("started", None, False, "Temporal does not answer"),
        ("started", running(status="unknown"), True, "does not know the run"),
        ("started", running(status="timed_out"), True, "ended (timed out) without leaving a conclusion"),
        ("started", running(), True, "between two steps"),
        ("closed", None, None, "under way"),
    ],
)
def test_what_is_known_of_a_run_is_said(
    state: str, inspection: RunInspection | None, answered: bool | None, says: str
) -> None:
    found = explain_progress(Moment(conversation(), entry(state), (), inspection, answered))
    assert says in found.words
    assert found.remedy


def test_a_run_that_waits_for_its_time() -> None:
    later = datetime(2999, 1, 1, tzinfo=UTC)
    parked = conversation(Status.PARKED, reason="engine_quota_exhausted")
    found = explain_progress(
        Moment(parked, entry("pending", not_before=later, reason="engine_quota_exhausted"), (), None, None)
    )
    assert "2999-01-01" in found.words
    assert "quota" in found.words


@pytest.mark.parametrize("status", list(Status))
def test_every_status_has_words(status: Status) -> None:
    found = explain_progress(Moment(conversation(status, reason="something_new"), entry("closed"), (), None, None))
    assert found.words
    assert found.remedy


def test_every_stage_that_can_be_pending_is_a_stage_or_named() -> None:
    for contract in CONTRACTS:
        step = PendingStep(stage=contract.name, state="started", attempt=1, maximum_attempts=0)
        found = explain_progress(Moment(conversation(), entry(), (), running(step), True))
        assert contract.name in found.words


def test_every_reason_to_stop_has_words_of_its_own() -> None:
    codes = {error.code for error in _errors(ParleyError)} & PARKING | {reason.value for reason in Reason}
    for code in codes:
        assert not text_of(code).words.startswith("It stopped with"), code
    assert text_of(Reason.TOO_SHORT) == REASONS[Reason.TOO_SHORT]
    assert "brand_new" in text_of("brand_new").words


def _errors(kind: type[ParleyError]) -> set[type[ParleyError]]:
    return {kind, *(inner for child in kind.__subclasses__() for inner in _errors(child))}


# -- remembered answers -------------------------------------------------------------------------------------


class Ticking:
    """A clock that is moved by hand, and a look-up that counts."""

    def __init__(self) -> None:
        self.now = 0.0
        self.asked: Counter[str] = Counter()

    def monotonic(self) -> float:
        return self.now

    async def look_up(self, key: str) -> str:
        self.asked[key] += 1
        await asyncio.sleep(0)
        return f"{key} {self.asked[key]}"


async def test_an_answer_is_kept_for_its_time_and_asked_once_at_a_time() -> None:
    ticking = Ticking()
    kept: Briefly[str, str] = Briefly(5, monotonic=ticking.monotonic)
    found = await asyncio.gather(*(kept.get("a", lambda: ticking.look_up("a")) for _ in range(20)))
    assert set(found) == {"a 1"}
    ticking.now = 4.9
    assert await kept.get("a", lambda: ticking.look_up("a")) == "a 1"
    ticking.now = 5.1
    assert await kept.get("a", lambda: ticking.look_up("a")) == "a 2"
    kept.forget("a")
    assert await kept.get("a", lambda: ticking.look_up("a")) == "a 3"


async def test_memory_is_bounded_and_the_oldest_goes_first() -> None:
    ticking = Ticking()
    kept: Briefly[str, str] = Briefly(5, size=3, monotonic=ticking.monotonic)
    for key in "abcd":
        await kept.get(key, lambda key=key: ticking.look_up(key))  # type: ignore[misc]
    assert await kept.get("d", lambda: ticking.look_up("d")) == "d 1"
    assert await kept.get("a", lambda: ticking.look_up("a")) == "a 2"


async def test_failures_are_not_kept_and_one_that_leaves_takes_nothing_along() -> None:
    kept: Briefly[str, str] = Briefly(5)
    gate = asyncio.Event()

    async def fail() -> str:
        raise ValueError("no")

    async def slow() -> str:
        await gate.wait()
        return "here"

    with pytest.raises(ValueError, match="no"):
        await kept.get("a", fail)
    first = asyncio.create_task(kept.get("a", slow))
    second = asyncio.create_task(kept.get("a", fail))  # joins the first one's question
    await asyncio.sleep(0)
    first.cancel()
    gate.set()
    assert await second == "here"


# -- upload tokens ------------------------------------------------------------------------------------------


def test_a_token_opens_its_upload_until_it_expires() -> None:
    tokens, other = UploadTokens(b"k" * 32), UploadTokens(b"o" * 32)
    upload = new_id()
    token = tokens.issue(TENANT, upload, datetime.now(UTC) + timedelta(minutes=1))
    assert tokens.tenant_of(token, upload) == TENANT
    with pytest.raises(Forbidden):
        tokens.tenant_of(token, new_id())
    with pytest.raises(Forbidden):
        tokens.tenant_of(tokens.issue(TENANT, upload, datetime.now(UTC) - timedelta(minutes=1)), upload)
    with pytest.raises(Unauthenticated):
        other.tenant_of(token, upload)
    for at in range(len(token)):
        changed = token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]
        with pytest.raises((Unauthenticated, Forbidden)):
            tokens.tenant_of(changed, upload)
