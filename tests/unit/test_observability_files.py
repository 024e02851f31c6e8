"""The deployment files for whoever watches: rules that fire and rest as they should, runbooks that are there."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.stack import ROOT

FOLDER = ROOT / "infra/observability"
RULES = FOLDER / "rules.yaml"
TRIED = Path(__file__).parent / "alert_rules.yaml"

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not here: it comes with Prometheus"
)


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=60, check=False)


@needs_promtool
def test_rules_and_the_sample_configuration_are_valid() -> None:
    for what, file in (("rules", RULES), ("config", FOLDER / "prometheus.yaml")):
        checked = promtool("check", what, str(file))
        assert checked.returncode == 0, checked.stdout + checked.stderr


@needs_promtool
def test_alerts_fire_in_trouble_and_rest_otherwise() -> None:
    tried = promtool("test", "rules", str(TRIED))
    assert tried.returncode == 0, tried.stdout + tried.stderr


@needs_promtool
def test_a_rule_that_does_not_fire_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(RULES.read_text().replace("> 300\n", "> 30000\n"))
    (tmp_path / "tried.yaml").write_text(
        TRIED.read_text().replace("../../infra/observability/rules.yaml", "rules.yaml")
    )
    assert promtool("test", "rules", str(tmp_path / "tried.yaml")).returncode != 0


def test_every_alert_is_tried_both_ways() -> None:
    worlds = yaml.safe_load(TRIED.read_text(encoding="utf-8"))["tests"]
    for world, fires in zip(worlds, (True, False), strict=True):
        tried = {case["alertname"]: bool(case.get("exp_alerts")) for case in world["alert_rule_test"]}
        assert tried == {alert["alert"]: fires for alert in alerts()}


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
def test_every_alert_has_its_runbook(alert: dict[str, Any]) -> None:
    path, _, anchor = alert["annotations"]["runbook"].partition("#")
    headings = re.findall(r"^## (.+)$", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE)
    assert anchor in {heading.lower() for heading in headings}
    assert alert["labels"]["severity"] in ("warning", "critical")


def test_the_dashboard_can_be_imported() -> None:
    """What Grafana needs: ids that differ, a place on the grid for each panel, and a source that can be chosen."""
    board = json.loads((FOLDER / "dashboard.json").read_text(encoding="utf-8"))
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) > 25
    assert board["templating"]["list"][0]["type"] == "datasource"
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        grid = panel["gridPos"]
        cells = {
            (x, y) for x in range(grid["x"], grid["x"] + grid["w"]) for y in range(grid["y"], grid["y"] + grid["h"])
        }
        assert not cells & taken, panel["title"]
        assert grid["x"] + grid["w"] <= 24
        taken |= cells
        for target in panel.get("targets", ()):
            assert target["expr"]
            assert target["datasource"]["uid"] == "${source}"


@needs_promtool
def test_every_expression_of_the_dashboard_is_valid(tmp_path: Path) -> None:
    board = json.loads((FOLDER / "dashboard.json").read_text(encoding="utf-8"))
    expressions = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    rules = [{"record": f"tried:n{number}", "expr": expression} for number, expression in enumerate(expressions)]
    file = tmp_path / "expressions.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "tried", "rules": rules}]}))
    checked = promtool("check", "rules", str(file))
    assert checked.returncode == 0, checked.stdout + checked.stderr
