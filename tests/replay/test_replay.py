"""Recorded histories of every branch still replay on today's code, and workflow code does not change unnoticed."""

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from temporalio import workflow
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

from domain import policies
from domain.contracts import CONVERSATION_WORKFLOW, INGEST, PERSIST, ConversationOutcome, ConversationRun, Outcome
from domain.conversation import Stage
from infra.temporal.plugin import parley_plugin
from tests.replay.branches import BRANCHES
from tests.replay.coverage import lines_of_functions, lines_run
from tests.replay.fingerprints import FILE, ROOT, fingerprints, shape
from tests.replay.record import HISTORIES
from tests.support.workflows import TEST_KEYS, use_policies
from workflows.conversation import ConversationWorkflow
from workflows.imports import ImportWorkflow
from workflows.reconcile import ReconcileWorkflow
from workflows.stages import Stages

WORKFLOWS = (ConversationWorkflow, ImportWorkflow, ReconcileWorkflow)

CHANGED = """
The code of {name} differs from what was fingerprinted.

Runs that are alive were begun with the old code and will be replayed with the new one. Before you update the file:
1. Does a step come, go, or change its place or name? Then keep the old way for old runs:
       if workflow.patched("what-changed"):
           …the new way…
       else:
           …the old way…
   and record a history of the new way beside the old one: python -m tests.replay.record NEW-BRANCH
   When no old run can be alive any more: workflow.deprecate_patch, and later neither.
2. Only arguments, timeouts, texts or pure rules? Replay does not mind; check that old runs can live with it.
3. Then: python -m tests.replay.fingerprints
"""

FORBIDDEN = (
    "datetime.now", "asyncio.wait(", "as_completed", "asyncio.sleep", "wait_for", "random", "uuid", "print(",
)  # fmt: skip
ALLOWED_IMPORTS = {
    "asyncio", "collections.abc", "dataclasses", "datetime", "typing", "pydantic", "temporalio", "temporalio.common",
    "temporalio.exceptions", "domain", "workflows",
}  # fmt: skip


@pytest.fixture(autouse=True)
def fast_policies() -> Iterator[None]:
    use_policies()
    yield
    policies.use({})


def history(name: str) -> WorkflowHistory:
    return WorkflowHistory.from_json(name, (HISTORIES / f"{name}.json").read_text(encoding="utf-8"))


def replayer(*workflows: type) -> Replayer:
    return Replayer(workflows=workflows, plugins=[parley_plugin(TEST_KEYS, strict_imports=True)], build_id="test")


@pytest.mark.parametrize("path", sorted(HISTORIES.glob("*.json")), ids=lambda path: path.stem)
async def test_a_recorded_history_replays(path: Path) -> None:
    await replayer(*WORKFLOWS).replay_workflow(history(path.stem))


def test_every_branch_has_been_recorded() -> None:
    assert {branch.name for branch in BRANCHES} <= {path.stem for path in HISTORIES.glob("*.json")}


DEFENSIVE = frozenset(
    {'return Ending(Outcome.FAILED, stage, ParleyError.code, "the activity failed without a reason")'}
)
"""Lines for what a Temporal server never does."""


async def test_every_line_of_the_workflows_is_in_some_recorded_history() -> None:
    with lines_run(ROOT / "workflows") as seen:
        for path in sorted(HISTORIES.glob("*.json")):
            await replayer(*WORKFLOWS).replay_workflow(history(path.stem))
    never = {
        f"{file.name}:{number} {line}"
        for file in sorted((ROOT / "workflows").glob("*.py"))
        for number, line in enumerate(map(str.strip, file.read_text(encoding="utf-8").splitlines()), start=1)
        if number in lines_of_functions(file) - seen[file.name] and line not in DEFENSIVE
    }
    assert not never, "add a branch to branches.py and record it: python -m tests.replay.record NEW-BRANCH"


@workflow.defn(name=CONVERSATION_WORKFLOW, sandboxed=False)
class WithoutAnalysis:
    """What the replay must catch: a step that is gone."""

    @workflow.run
    async def run(self, order: ConversationRun) -> ConversationOutcome:
        stages = Stages(order.run, Stage.INGEST)
        await stages.call(INGEST, order.run)
        await stages.call(PERSIST, order.run)
        return ConversationOutcome(outcome=Outcome.COMPLETED)


async def test_a_changed_order_of_steps_is_caught() -> None:
    with pytest.raises(NondeterminismError):
        await replayer(WithoutAnalysis).replay_workflow(history("chat"))


def test_histories_are_recorded_with_sealed_payloads() -> None:
    for path in HISTORIES.glob("*.json"):
        text = path.read_text(encoding="utf-8")
        assert '"encryption-key-id"' in text
        assert "json/plain" not in text


def test_workflow_code_has_not_changed_unnoticed() -> None:
    committed = json.loads(FILE.read_text(encoding="utf-8"))
    found = fingerprints()
    assert committed.keys() == found.keys(), "a workflow came or went: python -m tests.replay.fingerprints"
    for name, digest in found.items():
        assert digest == committed[name], CHANGED.format(name=name)


def test_a_fingerprint_is_of_meaning_not_of_layout() -> None:
    one = shape(ast.parse('"""Told."""\nasync def f(x):\n    """More."""\n    return await g(x, 1)  # why\n'))
    same = shape(ast.parse("async def f(x):\n    return await g(\n        x,\n        1,\n    )\n"))
    other = shape(ast.parse("async def f(x):\n    return await g(x, 2)\n"))
    assert one == same != other


@pytest.mark.parametrize("path", sorted((ROOT / "workflows").glob("*.py")), ids=lambda path: path.name)
def test_workflows_import_nothing_that_could_make_two_replays_differ(path: Path) -> None:
    imported = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            imported.add(module.split(".")[0] if module.startswith(("domain", "workflows")) else module)
    assert imported <= ALLOWED_IMPORTS
    source = path.read_text(encoding="utf-8")
    for call in FORBIDDEN:
        assert call not in source, f"{call} in {path.name}"
