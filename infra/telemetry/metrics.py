"""Every metric a process of ours counts itself. The names are stable; docs/metrics.md lists them, and a test holds the
page against what processes show.

Labels are bounded: words of our own enums and error codes, names of engines, queues and routes. No tenant is a label
here; where tenants are told apart (`infra.telemetry.platform`) it is by id, and for a bounded number of them.
"""

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics

disable_created_metrics()  # type: ignore[no-untyped-call]  # when a series was first counted interests nobody, and doubles the page

_STAGE_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
_ENGINE_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800)
_WAIT_SECONDS = (0.25, 0.5, 1, 2, 3, 5, 10, 20, 30, 60, 120, 300, 900, 3600)

API_SECONDS = Histogram(
    "parley_api_request_seconds",
    "Time from the first byte of a request to the end of its answer.",
    ["method", "route", "status"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60),
)
ACCEPTED = Counter(
    "parley_accepted", "Conversations handed in and accepted.", ["channel", "lane", "outcome"]
)  # fmt: skip

STAGE_ARRIVALS = Counter("parley_stage_arrivals", "First tries of a stage.", ["stage", "lane"])
STAGE_RETRIES = Counter("parley_stage_retries", "Further tries of a stage.", ["stage"])
STAGE_IN_FLIGHT = Gauge("parley_stage_in_flight", "Tries of a stage under way in this process.", ["stage"])
STAGE_SECONDS = Histogram(
    "parley_stage_seconds", "How long a try of a stage took.", ["stage", "outcome"], buckets=_STAGE_SECONDS
)
STAGE_FAILURES = Counter(
    "parley_stage_failures", "Tries that did not complete, by what went wrong.", ["stage", "error"]
)

RUNS = Counter("parley_runs", "Runs that ended, by how.", ["outcome"])
PARKED = Counter("parley_parked", "Runs that were parked.", ["stage", "reason"])
DEAD_LETTERS = Counter("parley_dead_letters", "Runs that failed for good.", ["stage", "reason"])
TASK_RUNS = Counter("parley_task_runs", "AI Tasks that were skipped, ran, failed or parked.", ["state", "reason"])
INDEX_WAIT = Histogram(
    "parley_index_wait_seconds", "From a change of a conversation to its being searchable.", buckets=_WAIT_SECONDS
)

ENGINE_SECONDS = Histogram(
    "parley_engine_call_seconds", "How long an engine took to answer.", ["engine", "outcome"], buckets=_ENGINE_SECONDS
)
ENGINE_TOKENS = Counter("parley_engine_tokens", "Tokens engines were given and gave.", ["engine", "kind"])
ENGINE_AUDIO = Counter("parley_engine_audio_seconds", "Audio engines heard.", ["engine"])
ENGINE_COST = Counter("parley_engine_cost_usd", "Cost by the engines' price tables, in US dollars.", ["engine"])

PROCESS = Gauge("parley_process_info", "Always 1: which process this is.", ["process", "version"])

_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})


def observe_request(method: str, route: str | None, status: int, seconds: float) -> None:
    """`route` is the template, None for addresses there are not: labels never grow with what callers send."""
    labels = (method if method in _METHODS else "other", route or "none", str(status))
    API_SECONDS.labels(*labels).observe(seconds)
