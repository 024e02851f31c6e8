"""What a stack did lately, out of what its processes say of themselves (`/recent` on their metrics ports)."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from domain.conversation import Stage

_ORDER = {name: position for position, name in enumerate([*(stage.value for stage in Stage), "conclude", "reconcile"])}


class _Figures(BaseModel):
    model_config = ConfigDict(frozen=True)


class StageFigures(_Figures):
    """A stage: tries that completed, failed, and did not complete as may happen in normal running; further tries; tries
    under way; the time of tries in seconds, None when there were none."""

    stage: str
    done: int
    failed: int
    benign: int
    retries: int
    in_flight: int
    p50: float | None
    p95: float | None


class EngineFigures(_Figures):
    """An engine: calls, those that were not answered, tokens in and out, US dollars, seconds per call."""

    engine: str
    calls: int
    failed: int
    tokens: int
    cost_usd: float
    p50: float | None
    p95: float | None


class Lately(_Figures):
    """seconds: the shortest time any process looks back, at most fifteen minutes. silent: processes that said nothing.
    accepted: conversations by outcome; runs: those that ended, by how."""

    seconds: float
    silent: tuple[str, ...]
    accepted: dict[str, int]
    runs: dict[str, int]
    stages: tuple[StageFigures, ...]
    engines: tuple[EngineFigures, ...]


class _Samples:
    """Samples of several processes, added up."""

    def __init__(self, told: Iterable[Mapping[str, Any]], key: str) -> None:
        self._of: dict[str, list[tuple[dict[str, str], float]]] = defaultdict(list)
        for page in told:
            for sample in page[key]:
                self._of[sample["name"]].append((sample["labels"], sample["value"]))

    def total(self, name: str, **where: str) -> float:
        return sum(value for labels, value in self._of[name] if where.items() <= labels.items())

    def by(self, name: str, label: str) -> dict[str, int]:
        found: dict[str, int] = defaultdict(int)
        for labels, value in self._of[name]:
            found[labels[label]] += round(value)
        return dict(sorted(found.items()))

    def quantile(self, share: float, name: str, **where: str) -> float | None:
        buckets: dict[float, float] = defaultdict(float)
        for labels, value in self._of[f"{name}_bucket"]:
            if where.items() <= labels.items():
                buckets[float(labels["le"])] += value
        return quantile(share, sorted(buckets.items()))


def quantile(share: float, buckets: Sequence[tuple[float, float]]) -> float | None:
    """From (upper bound, how many are at most that), ascending, as Prometheus' `histogram_quantile`: evenly spread
    inside a bucket; beyond the last finite bound that bound. None without any observation."""
    total = buckets[-1][1] if buckets else 0.0
    if total <= 0:
        return None
    lower, below = 0.0, 0.0
    for upper, count in buckets:
        if count >= share * total and count > below:
            if upper == float("inf"):
                return lower
            return lower + (upper - lower) * (share * total - below) / (count - below)
        lower, below = upper, count
    return lower


def lately(pages: Mapping[str, Mapping[str, Any] | None]) -> Lately:
    """`pages`: what each process said, None for one that said nothing."""
    told = [page for page in pages.values() if page is not None]
    grown, now = _Samples(told, "grown"), _Samples(told, "now")
    stages = set(grown.by("parley_stage_arrivals_total", "stage")) | set(
        grown.by("parley_stage_retries_total", "stage")
    )
    stages |= {stage for stage, busy in now.by("parley_stage_in_flight", "stage").items() if busy}
    return Lately(
        seconds=min((page["seconds"] for page in told), default=0.0),
        silent=tuple(name for name, page in pages.items() if page is None),
        accepted=grown.by("parley_accepted_total", "outcome"),
        runs=grown.by("parley_runs_total", "outcome"),
        stages=tuple(
            _stage(stage, grown, now) for stage in sorted(stages, key=lambda name: (_ORDER.get(name, 99), name))
        ),
        engines=tuple(_engine(engine, grown) for engine in grown.by("parley_engine_call_seconds_count", "engine")),
    )


def _stage(stage: str, grown: _Samples, now: _Samples) -> StageFigures:
    def tries(outcome: str) -> int:
        return round(grown.total("parley_stage_seconds_count", stage=stage, outcome=outcome))

    return StageFigures(
        stage=stage,
        done=tries("completed"),
        failed=tries("failed"),
        benign=tries("benign") + tries("superseded") + tries("cancelled"),
        retries=round(grown.total("parley_stage_retries_total", stage=stage)),
        in_flight=round(now.total("parley_stage_in_flight", stage=stage)),
        p50=grown.quantile(0.5, "parley_stage_seconds", stage=stage),
        p95=grown.quantile(0.95, "parley_stage_seconds", stage=stage),
    )


def _engine(engine: str, grown: _Samples) -> EngineFigures:
    calls = round(grown.total("parley_engine_call_seconds_count", engine=engine))
    answered = round(grown.total("parley_engine_call_seconds_count", engine=engine, outcome="answered"))
    tokens = sum(grown.total("parley_engine_tokens_total", engine=engine, kind=kind) for kind in ("input", "output"))
    return EngineFigures(
        engine=engine,
        calls=calls,
        failed=calls - answered,
        tokens=round(tokens),
        cost_usd=round(grown.total("parley_engine_cost_usd_total", engine=engine), 6),
        p50=grown.quantile(0.5, "parley_engine_call_seconds", engine=engine),
        p95=grown.quantile(0.95, "parley_engine_call_seconds", engine=engine),
    )
