"""A report schema that names what no row has: `coordinator validate` says which name, and what is near it."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from coordinator_dagster.report.app import create_app
from coordinator_dagster.report.names import name_faults, rows_by_endpoint
from coordinator_dagster.report.pages.columns import columns
from coordinator_dagster.stages.report import report_schema_fault
from slots.defaults import report_schema
from tests.cli.test_cli import START, Run, error_lines, run  # noqa: F401
from tests.report.conftest import Make

SCORE = {"metrics": {"recent": -1.0, "steady": -1.0, "anchor": None}, "ranking": {"key": "anchor", "value": None}}
ENTRY = {"model_id": "m", "score": SCORE}
SCOPE = {"asset": "BTC", "horizon_seconds": 60}


def faults(change: Callable[[dict[str, Any]], None]) -> list[str]:
    schema = deepcopy(report_schema())
    change(schema)
    return name_faults(schema, [ENTRY], [SCOPE])


def widget(url: str, **native: Any) -> Callable[[dict[str, Any]], None]:
    one = {"id": 9, "type": "CHART", "displayName": "x", "endpointUrl": url, "nativeConfiguration": native}
    return lambda schema: schema["metrics_widgets"].append(one)


def test_the_default_schema_names_what_there_is() -> None:
    assert faults(lambda schema: None) == []


def column(**said: Any) -> Callable[[dict[str, Any]], None]:
    return lambda schema: schema["leaderboard_columns"][2].update(said)


GAUGE = {"type": "gauge", "seriesConfig": [{"name": "answered"}, {"name": "lost"}]}


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (
            column(property="score_recnt"),
            "leaderboard_columns: property=score_recnt: no entry has it (did you mean score_recent?)",
        ),
        (column(nativeConfiguration=GAUGE, property="x"), "leaderboard_columns: seriesConfig.name=lost: no entry"),
        (column(nativeConfiguration={"type": "model", "statusProperty": "alive"}), "leaderboard_columns: statusProp"),
        (widget("/reports/nothing"), "metrics_widgets: endpointUrl=/reports/nothing: there is no such endpoint"),
        (
            widget("/reports/models/global?view=2", yAxis={"series": [{"name": "wins"}]}),
            "metrics_widgets: /reports/models/global?view=2: series.name=wins: no row has it",
        ),
        (widget("/reports/models/metrics", groupByProperty="asset"), "metrics_widgets: /reports/models/metrics: group"),
        (
            widget("/reports/predictions", alertConfig={"field": "score_success"}),
            "metrics_widgets: /reports/predictions: field=score_success: no row has it",
        ),
        (
            widget("/reports/models/params", filterConfig=[{"property": "subject"}]),
            "metrics_widgets: /reports/models/params: filterConfig.property=subject: no row has it",
        ),
    ],
)
def test_a_name_that_no_row_has_is_a_fault(change: Callable[[dict[str, Any]], None], fault: str) -> None:
    (found,) = faults(change)
    assert found.startswith(fault)


WRONG = [
    ("order", "10"),
    ("nativeConfiguration", "x"),
    ("nativeConfiguration", {"type": "gauge", "seriesConfig": ["x"]}),
    ("nativeConfiguration", {"type": "gauge", "seriesConfig": {}}),
    ("type", ["VALUE"]),
    ("displayName", None),
    ("property", 7),
    ("format", 2),
]


@pytest.mark.parametrize(("field", "value"), WRONG)
def test_a_column_that_cannot_be_drawn_is_a_fault_and_a_page_where_it_was_stored_before(
    field: str, value: object
) -> None:
    schema = deepcopy(report_schema())
    assert report_schema_fault(schema) is None
    one = schema["leaderboard_columns"][2]
    column(**{field: value})(schema)
    said = report_schema_fault(schema)
    assert said
    assert said.startswith(f"leaderboard_columns: id {one['id']}: {field}")
    assert columns(schema, [ENTRY])


def test_every_item_that_is_not_as_it_must_be_is_named() -> None:
    schema = deepcopy(report_schema())
    column(order="10")(schema)
    widget("/reports/predictions", filterConfig=["asset"])(schema)
    del schema["metrics_widgets"][-1]["displayName"]
    said = report_schema_fault(schema) or ""
    assert [one.split(": Input")[0].split(": Field")[0] for one in said.split("; ")] == [
        f"leaderboard_columns: id {schema['leaderboard_columns'][2]['id']}: order",
        "metrics_widgets: id 9: displayName",
        "metrics_widgets: id 9: nativeConfiguration.filterConfig.0",
    ]


def test_scopes_and_gauges_and_frames_may_be_named() -> None:
    by_asset = {"filterConfig": [{"property": "asset"}], "yAxis": {"series": [{"name": "recent"}]}}
    for url in ("/reports/models/params", "/reports/predictions?view=2"):
        expected = [] if "params" in url else [f"metrics_widgets: {url}: series.name=recent: no row has it"]
        assert [one.split(";")[0] for one in faults(widget(url, **by_asset))] == expected
    frame = {"id": 9, "type": "IFRAME", "displayName": "Rules", "endpointUrl": "https://example.org/rules"}
    assert faults(lambda schema: schema["metrics_widgets"].append(frame)) == []


def test_every_endpoint_for_charts_is_one(competition: Make) -> None:
    paths = create_app(competition()).openapi()["paths"]
    assert set(rows_by_endpoint([ENTRY], [SCOPE])) <= set(paths)


def test_validate_names_the_slot_and_every_name(run: Run, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "home" / "mine.py").write_text(
        "from slots import defaults\n"
        "def schema():\n"
        "    found = defaults.report_schema()\n"
        "    found['leaderboard_columns'][3]['property'] = 'score_weekly'\n"
        "    found['metrics_widgets'][0]['nativeConfiguration']['yAxis']['series'][0]['name'] = 'score_weekly'\n"
        "    return found\n"
    )
    lines = error_lines(run("validate", "--offline", competition_start=START, report_schema_provider="mine:schema"))
    assert len(lines) == 2
    assert all(line.startswith("REPORT_SCHEMA_PROVIDER=mine:schema (from environment): ") for line in lines)
    assert "leaderboard_columns: property=score_weekly: no entry has it" in lines[0]
    assert "/reports/models/metrics: series.name=score_weekly: no row has it" in lines[1]
