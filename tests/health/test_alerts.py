"""Each alert fires on what it is for, and none on a competition in good health: by Prometheus' own promtool."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from math import isfinite
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from coordinator_dagster.competition import Competition
from coordinator_dagster.health.metrics import METRICS, StandingCollector
from coordinator_dagster.health.readings import Readings
from tests.health.standing import CASES, HEALTHY, STILL_HEALTHY, Case

PROJECT = Path(__file__).parents[2]
FOLDER = PROJECT / "docker" / "prometheus"
RULES = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"][0]["rules"]
ALERTS = {one["alert"]: one for one in RULES}
ELSEWHERE = {"CoordinatorMetricsDown"}  # of what no reading shows
OF_CRITICAL = {"CoordinatorUnhealthy"}  # fires on all that is
AFTER_HOURS = {"CoordinatorChecksNever"}


@pytest.fixture
def promtool() -> str:
    found = shutil.which("promtool")
    if not found:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    return found


class Told:
    """A look that always sees the same."""

    def __init__(self, readings: Readings) -> None:
        self.take = lambda: readings


def scraped(made: Competition, readings: Readings) -> bytes:
    registry = CollectorRegistry()
    registry.register(StandingCollector(made, Told(readings)))  # type: ignore[arg-type]
    return generate_latest(registry)


def series(made: Competition, readings: Readings) -> Iterator[dict[str, str]]:
    """What Prometheus stores of it for 190 minutes, all alike."""
    target = {"job": "coordinator", "instance": "127.0.0.1:9108"}
    yield {"series": 'up{job="coordinator",instance="127.0.0.1:9108"}', "values": "1x190"}
    for family in text_string_to_metric_families(scraped(made, readings).decode()):
        for one in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in (one.labels | target).items())
            values = f"{one.value}x190" if isfinite(one.value) else " ".join(191 * ["Inf"])
            yield {"series": f"{one.name}{{{labels}}}", "values": values}


def expectation(made: Competition, name: str, readings: Readings, alerts: set[str]) -> dict[str, Any]:
    """These fire, and no others: after half an hour, but for those that take hours, and after three hours."""
    return {
        "name": name,
        "interval": "1m",
        "input_series": list(series(made, readings)),
        "promql_expr_test": [firing("30m", alerts - AFTER_HOURS), firing("185m", alerts)],
    }


def firing(after: str, alerts: set[str]) -> dict[str, Any]:
    samples = [{"labels": f'{{alertname="{one}"}}', "value": 1} for one in sorted(alerts)]
    every = "count by (alertname) (ALERTS{alertstate='firing'})"
    return {"expr": every, "eval_time": after, "exp_samples": samples}


def alerts_of(case: Case) -> set[str]:
    return set(case.alerts) | (OF_CRITICAL if case.severity == "critical" else set())


def test_rules_and_configuration_are_what_prometheus_takes(promtool: str) -> None:
    for command in (["rules", "alerts.yml"], ["config", "prometheus.yml"]):
        done = subprocess.run([promtool, "check", *command], cwd=FOLDER, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_each_fires_on_what_it_is_for_and_none_on_good_health(promtool: str, live: Competition, tmp_path: Path) -> None:
    tests = [expectation(live, one.name, one.readings, alerts_of(one)) for one in CASES]
    tests += [expectation(live, name, readings, set()) for name, readings in STILL_HEALTHY.items()]
    down = expectation(live, "metrics down", HEALTHY, {"CoordinatorMetricsDown"})
    down["input_series"] = [{"series": down["input_series"][0]["series"], "values": "0x190"}]
    silent = expectation(live, "no metrics at all", HEALTHY, {"CoordinatorMetricsDown"}) | {"input_series": []}
    file = tmp_path / "tests.yml"
    every = {"rule_files": [str(FOLDER / "alerts.yml")], "evaluation_interval": "1m", "tests": [*tests, down, silent]}
    file.write_text(json.dumps(every))
    done = subprocess.run([promtool, "test", "rules", file], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {alert for one in CASES for alert in alerts_of(one)} | ELSEWHERE == set(ALERTS), "each alert is seen to fire"


def test_an_alert_that_does_not_fire_fails_the_test(promtool: str, live: Competition, tmp_path: Path) -> None:
    wrong = expectation(live, "healthy", HEALTHY, {"CoordinatorGaps"})
    every = {"rule_files": [str(FOLDER / "alerts.yml")], "evaluation_interval": "1m", "tests": [wrong]}
    (tmp_path / "tests.yml").write_text(json.dumps(every))
    done = subprocess.run([promtool, "test", "rules", tmp_path / "tests.yml"], capture_output=True, text=True)
    assert done.returncode != 0


def test_metrics_are_as_promtool_wants_them(promtool: str, live: Competition) -> None:
    done = subprocess.run([promtool, "check", "metrics"], input=scraped(live, HEALTHY), capture_output=True)
    assert done.returncode == 0 and not done.stdout + done.stderr, done


def test_alerts_use_what_is_exported_and_say_why_and_what_to_do() -> None:
    for name, alert in ALERTS.items():
        used = set(re.findall(r"\bcoordinator_[a-z_]+", alert["expr"]))
        assert used <= METRICS.keys(), name
        assert used or name in ELSEWHERE
        assert alert["labels"]["severity"] in ("critical", "warning")
        assert alert["annotations"].keys() == {"summary", "why", "what_to_do", "runbook"}
        assert (PROJECT / alert["annotations"]["runbook"].split("#")[0]).is_file()
