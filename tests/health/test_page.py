"""docs/observe.md says what there is."""

import re
from pathlib import Path

import yaml

from coordinator_dagster.health.metrics import METRICS
from tests.health.standing import CASES, CONFIG

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs" / "observe.md").read_text()
RULES = yaml.safe_load((PROJECT / "docker" / "prometheus" / "alerts.yml").read_text())["groups"][0]["rules"]


def rows(heading: str) -> list[list[str]]:
    """The cells of the first table below a heading, without its head."""
    below = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in below.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def test_its_metrics_are_those_that_are_exported() -> None:
    written = [
        [f"`{name}`", ", ".join(f"`{label}`" for label in one.labels) or "–", one.help] for name, one in METRICS.items()
    ]
    assert rows("Prometheus") == written


def test_its_alerts_are_those_of_the_rules() -> None:
    written = []
    for rule in RULES:
        said = rule["annotations"]
        why = said["why"].replace("{{ $labels.instance }}", "its address")
        cells = [f"`{rule['alert']}`", rule["labels"]["severity"], rule.get("for", "0s"), why, said["what_to_do"]]
        written.append(cells)
    assert rows("Alerts") == written


def test_its_findings_are_those_that_are_found() -> None:
    found = {
        (name, severity)
        for names, wrong, watched in rows("Is it healthy?")
        for name in re.findall(r"`([^`]+)`", names)
        for severity, when in (("critical", wrong), ("warning", watched))
        if when != "–" and (name, severity) not in (("checks ERROR", "warning"), ("checks WARN", "critical"))
    }
    assert found == {(one.what.replace(CONFIG, "CONFIG"), one.severity) for one in CASES}
