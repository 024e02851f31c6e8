"""A call that answers several tasks is billed to each, and the parts add up to the whole."""

from hypothesis import given
from hypothesis import strategies as st

from domain.engine import CallOutcome, Price, Usage
from domain.errors import EngineAnswerTruncated
from services import engine_calls
from tests.support.samples import engine

counts = st.integers(0, 10**9)
PRICED = engine(price=Price(input_per_million=0.1, output_per_million=0.4, cached_per_million=0.025, version="p"))


@given(
    st.builds(
        Usage,
        requests=st.just(1),
        input_tokens=counts,
        output_tokens=counts,
        cached_tokens=counts,
        thinking_tokens=counts,
        audio_ms=counts,
    ),
    st.integers(1, 24),
)
def test_shares_add_up(usage: Usage, tasks: int) -> None:
    call = engine_calls.answered(PRICED, "h", model="m", usage=usage, latency_ms=1, answer="{}")
    events = engine_calls.usage_events(call, [f"task-{n}" for n in range(tasks)])
    for name in Usage.model_fields:
        assert sum(getattr(event, name) for event in events) == getattr(usage, name)
        shares = [getattr(event, name) for event in events]
        assert name == "requests" or max(shares) - min(shares) <= 1
    assert abs(sum(event.cost_usd for event in events) - call.cost_usd) <= 1e-9 * max(1.0, call.cost_usd)
    assert len({event.id for event in events}) == tasks
    again = engine_calls.usage_events(call, [f"task-{n}" for n in range(tasks)])
    assert [event.id for event in again] == [event.id for event in events]


def test_an_answer_that_was_cut_off_is_billed_and_kept() -> None:
    error = EngineAnswerTruncated("cut", raw='{"csat": {"ki', usage=Usage(input_tokens=1_000_000, output_tokens=512))
    call = engine_calls.failed(PRICED, "h", error, latency_ms=1, parts=("a", "b"))
    assert (call.outcome, call.error_code) == (CallOutcome.FAILED, "engine_answer_truncated")
    assert call.answer == '{"csat": {"ki'
    assert call.usage.output_tokens == 512
    assert call.cost_usd > 0.1
    assert call.parts == ("a", "b")
