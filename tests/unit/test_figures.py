"""What a stack did lately: growth of counters, quantiles of histograms, and one picture of several processes."""

import json

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from cli.figures import lately, quantile
from infra.telemetry.recent import EVERY_SECONDS, WINDOW_SECONDS, Recent


class Ticking:
    """A clock that is moved by hand."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def grown(recent: Recent) -> dict[str, float]:
    told = json.loads(recent.as_json())
    return {f"{s['name']}{sorted(s['labels'].values())}": s["value"] for s in told["grown"]}


def test_only_what_grew_within_the_window_counts() -> None:
    registry, clock = CollectorRegistry(), Ticking()
    done = Counter("parley_done", "Done.", ["stage"], registry=registry)
    Counter("other_done", "Not ours.", registry=registry).inc()
    Gauge("parley_now", "Now.", registry=registry).set(7)
    done.labels("ingest").inc(5)
    recent = Recent(registry, clock)
    done.labels("ingest").inc(2)
    done.labels("plan").inc()
    assert grown(recent) == {"parley_done_total['ingest']": 2, "parley_done_total['plan']": 1}
    for _ in range(int(WINDOW_SECONDS / EVERY_SECONDS) + 1):
        clock.now += EVERY_SECONDS
        recent.keep()
    assert grown(recent) == {}
    done.labels("plan").inc(3)
    told = json.loads(recent.as_json())
    assert [(s["labels"], s["value"]) for s in told["grown"]] == [({"stage": "plan"}, 3)]
    assert [(s["name"], s["value"]) for s in told["now"]] == [("parley_now", 7)]
    assert WINDOW_SECONDS <= told["seconds"] < WINDOW_SECONDS + EVERY_SECONDS


def test_a_quantile_is_inside_its_bucket() -> None:
    assert quantile(0.5, [(1.0, 0), (2.0, 10), (float("inf"), 10)]) == 1.5
    assert quantile(0.95, [(1.0, 1), (float("inf"), 10)]) == 1.0  # beyond the last bound nothing is known
    assert quantile(0.5, []) is None
    assert quantile(0.5, [(1.0, 0), (float("inf"), 0)]) is None


@given(st.lists(st.floats(0.001, 4000), min_size=1, max_size=50), st.floats(0.01, 1.0), st.floats(0.01, 1.0))
def test_quantiles_grow_with_their_share_and_stay_in_the_buckets(seen: list[float], one: float, other: float) -> None:
    bounds = (0.01, 0.1, 1, 10, 100, 1000, 5000)
    buckets = [(bound, float(sum(value <= bound for value in seen))) for bound in bounds]
    low, high = (quantile(share, buckets) for share in sorted((one, other)))
    assert low is not None
    assert high is not None
    assert 0 <= low <= high <= min(bound for bound in bounds if max(seen) <= bound)


def page(work: int) -> dict[str, object]:
    """What a process says that did some work."""
    registry = CollectorRegistry()
    clock = Ticking()
    arrivals = Counter("parley_stage_arrivals", "", ["stage", "lane"], registry=registry)
    seconds = Histogram("parley_stage_seconds", "", ["stage", "outcome"], registry=registry, buckets=(0.1, 1, 10))
    busy = Gauge("parley_stage_in_flight", "", ["stage"], registry=registry)
    calls = Histogram("parley_engine_call_seconds", "", ["engine", "outcome"], registry=registry, buckets=(0.1, 1, 10))
    tokens = Counter("parley_engine_tokens", "", ["engine", "kind"], registry=registry)
    recent = Recent(registry, clock)
    for _ in range(work):
        arrivals.labels("ingest", "live").inc()
        seconds.labels("ingest", "completed").observe(0.5)
        calls.labels("offline", "answered").observe(0.05)
        tokens.labels("offline", "input").inc(10)
    seconds.labels("ingest", "failed").observe(5)
    calls.labels("offline", "engine_timeout").observe(9)
    busy.labels("analyze").inc()
    clock.now += work
    told: dict[str, object] = json.loads(recent.as_json())
    return told


def test_several_processes_are_one_picture() -> None:
    found = lately({"one": page(20), "two": page(40), "silent": None})
    assert (found.silent, found.seconds) == (("silent",), 20)
    ingest, analyze = found.stages
    assert (ingest.stage, ingest.done, ingest.failed, ingest.retries) == ("ingest", 60, 2, 0)
    assert ingest.p50 is not None
    assert 0.1 < ingest.p50 < 1
    assert (analyze.stage, analyze.in_flight, analyze.p50) == ("analyze", 2, None)
    (engine,) = found.engines
    assert (engine.calls, engine.failed, engine.tokens) == (62, 2, 600)


def test_nobody_says_anything() -> None:
    found = lately({"one": None})
    assert (found.stages, found.engines, found.seconds) == ((), (), 0)
