"""The bench's arithmetic, its output, and that its baselines are what they say."""

import ast
import cProfile
import json
from pathlib import Path

import pytest
from rich.console import Console

from bench import noop
from bench.__main__ import SECTIONS, chosen, main
from bench.conversations import PLAIN, VARIED, intake
from bench.freshness import WORD, Sizes, marked, p95
from bench.measure import Measurement, hardware, show, write
from bench.pipeline import ratio_of
from bench.profile import dearest_functions
from bench.runs import Batch
from bench.worker import with_baseline
from domain import contracts
from domain.contracts import CONTRACTS, QueueKind
from infra.settings import default_config_dir
from workers.roles import load_roles


def batch(rate: float, cpu: float = 1.0) -> Batch:
    return Batch(runs=10, seconds=10 / rate, cpu={"temporal": cpu, "worker": cpu})


def test_a_ratio_is_the_median_of_its_pairs():
    pairs = [(batch(6), batch(10)), (batch(1), batch(10)), (batch(7), batch(10))]
    figure = ratio_of(pairs)
    assert figure.value == pytest.approx(0.6)
    assert figure.detail["ratios"] == [0.6, 0.1, 0.7]
    assert figure.reached is not None


def test_processor_time_is_told_by_process():
    figure = ratio_of([(batch(5, cpu=0.4), batch(10, cpu=0.3))])
    assert figure.detail["ratio_by_cpu"] == 0.75
    assert figure.detail["product"]["cpu_ms_per_run"] == {"temporal": 40.0, "worker": 40.0}
    assert "worker +10 ms" in figure.note


@pytest.mark.parametrize(
    ("value", "aim", "direction", "reached"),
    [(0.6, 0.6, "≥", True), (0.59, 0.6, "≥", False), (31, 31, "≤", True), (32, 31, "≤", False), (5, None, "≥", None)],
)
def test_aims_are_reached_or_missed(value: float, aim: float | None, direction: str, reached: bool | None):
    assert Measurement("x", value, aim=aim, direction=direction).reached is reached


def test_what_is_missed_and_what_is_missing_is_said(tmp_path: Path):
    figures = [Measurement("good", 0.7, aim=0.6), Measurement("bad", 33, aim=31, direction="≤", detail={"most": 33})]
    missing = {"wer": "no sample data"}
    console = Console(width=140, record=True, file=(tmp_path / "table").open("w"))
    show(console, figures, hardware(), missing)
    write(tmp_path / "deep" / "bench.json", figures, hardware(), missing)

    text = console.export_text()
    bad = next(line for line in text.splitlines() if "bad" in line)
    assert "missed" in bad
    assert "no sample data" in text
    body = json.loads((tmp_path / "deep" / "bench.json").read_text())
    assert body["missing"] == missing
    assert {name: m["reached"] for name, m in body["measurements"].items()} == {"good": True, "bad": False}
    assert body["measurements"]["bad"]["detail"] == {"most": 33}
    assert body["hardware"]["cores"] >= 1
    assert len(body["hardware"]["load_after"]) == 3


def test_sections_run_once_and_in_order():
    assert chosen([]) == [name for name in SECTIONS if name != "events"]
    assert chosen(["wer", "events", "wer"]) == ["events", "wer"]
    assert chosen(["events", "pipeline"]) == ["pipeline"]


def test_an_unknown_section_is_refused(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        main(["pipelin"])
    assert ended.value.code == 2
    assert "pipelin;" in capsys.readouterr().err


def test_the_empty_workflow_has_a_chats_activities():
    """Counted in the code: as many remote and local calls as contracts a chat goes through, and one upsert."""
    calls = [
        node.func.attr
        for node in ast.walk(ast.parse(Path(noop.__file__).read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    ]
    elsewhere = {
        contracts.TRANSCRIBE, contracts.CONCLUDE, contracts.RECONCILE, contracts.IMPORT_ROWS, contracts.CONCLUDE_IMPORT,
    }  # fmt: skip
    way = [contract for contract in CONTRACTS if contract not in elsewhere]
    assert calls.count("execute_activity") == sum(not contract.local for contract in way)
    assert calls.count("execute_local_activity") == sum(contract.local for contract in way)
    assert calls.count("upsert_search_attributes") == 1


def test_both_sides_have_the_products_workers():
    for name in ("conversations", "language-models"):
        role = load_roles(default_config_dir())[name]
        bench = with_baseline(role)
        assert bench.hosts == ()
        for spec in bench.queues:
            product = next(s for s in role.queues if s.task_queue == spec.task_queue)
            changed = {"workflows", "activities"}
            assert spec.model_dump(exclude=changed) == product.model_dump(exclude=changed)
            assert noop.EMPTY_ACTIVITY in spec.activities
            assert (noop.EMPTY_WORKFLOW in spec.workflows) == (spec.queue is QueueKind.CONVERSATIONS)


def test_the_chats_are_accepted_and_marked():
    assert PLAIN in VARIED
    for name in VARIED:
        assert intake(name, "x-1").external_id == "x-1"
        assert WORD not in intake(name, "x").model_dump_json()
        assert marked(name)["messages"][-1]["text"].endswith(WORD)


def test_the_95th_percentile_of_latencies():
    figure = p95([float(n) for n in range(1, 101)], Sizes())
    assert figure.value == pytest.approx(95.05)
    assert figure.detail["seconds"][-1] == 100.0


def test_a_profile_names_the_dearest_function(tmp_path: Path):
    def costly() -> int:
        return sum(n * n for n in range(200_000))

    profile = cProfile.Profile()
    profile.runcall(costly)
    profile.dump_stats(tmp_path / "one.prof")
    lines = dearest_functions(tmp_path / "one.prof", runs=1, most=2)
    assert len(lines) == 2
    assert any("genexpr" in line for line in lines)
