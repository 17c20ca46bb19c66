"""Two generated nodes over one database: in one Dagster UI, and beside each other."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from coordinator_dagster.competition import read_competition
from coordinator_dagster.store.database import Database
from tests.nodes import clean_environment, make_node, write_settings, write_workspace
from tests.template.conftest import plain_template as plain_template
from tests.ui import PROJECT, Ui, coordinator_dev, ended, sql

pytestmark = pytest.mark.ui
HOUR = "2026-01-05-00:00"
HOUR_SETTINGS = {
    "MODE": "replay",
    "FEED_PROVIDER": "simulated",
    "COMPETITION_START": "2026-01-05T00:00Z",
    "COMPETITION_END": "2026-01-05T01:00Z",
    "MODEL_PRELOAD": "math",
}
SCORES = (1.5, 2.5)  # what each node's own slot gives
FORECASTS = 3 * 60


@pytest.fixture
def dagster_schemas(database_url: str) -> Iterator[tuple[str, ...]]:
    names = tuple(f"test_{os.getpid()}_dagster_{one}" for one in "ab")
    yield names
    sql(database_url, *(f"drop schema if exists {name} cascade" for name in names))


@pytest.fixture
def nodes(
    plain_template: Path,
    tmp_path: Path,
    database_url: str,
    schema: Callable[[str], str],
    dagster_schemas: tuple[str, ...],
) -> tuple[Path, Path]:
    """Two nodes of one database, each with a schema of its own for its Dagster."""
    settings = HOUR_SETTINGS | {"DATABASE_URL": database_url}
    first, second = (
        make_node(plain_template, tmp_path, schema(f"node_{which}"), score, **settings, DAGSTER_SCHEMA=dagster)
        for which, score, dagster in zip("ab", SCORES, dagster_schemas, strict=True)
    )
    return first, second


def ui_of(node: Path, port: int) -> Ui:
    name = node.name.removeprefix("crunch-node-")
    return Ui(name.replace("-", "_"), port, name)


def stored_scores(node: Path) -> dict[float | None, int]:
    """How many forecasts have each score."""
    made = read_competition(node)
    url = made.settings.database_url
    assert url
    database = Database(url.get_secret_value(), made.schema)
    try:
        if not database.read("select 1 from pg_namespace where nspname = :name", name=made.schema):
            return {}
        return {row.score_value: row.n for row in database.read(COUNTS)}
    finally:
        database.close()


COUNTS = "select score_value, count(*) as n from predictions group by 1"


def test_one_ui_serves_two_nodes(nodes: tuple[Path, Path], tmp_path: Path, database_url: str) -> None:
    shown = tmp_path / "ui"
    shown.mkdir()
    write_workspace(shown, list(nodes))
    shutil.copyfile(PROJECT / "dagster.yaml", shown / "dagster.yaml")
    schema = read_competition(nodes[0]).settings.dagster_schema
    write_settings(shown, DATABASE_URL=database_url, DAGSTER_SCHEMA=schema)
    with coordinator_dev(shown, clean_environment()) as port:
        uis = [ui_of(node, port) for node in nodes]
        found = uis[0].ask("{assetNodes {assetKey {path} groupName}}")["assetNodes"]
        for ui in uis:
            groups = {one["groupName"] for one in found if one["assetKey"]["path"][0] == ui.competition}
            assert groups == {"ingest", "infer", "resolve", "score", "rank", "report", "emit", "archive"}
        assert len(found) == 2 * 10

        first, second = uis
        run = first.launch_loop(HOUR)
        assert ended(lambda: first.run(run))["status"] == "SUCCESS"
        assert stored_scores(nodes[0]) == {SCORES[0]: FORECASTS}
        assert stored_scores(nodes[1]) == {}, "the other competition got something of this one"
        run = second.launch_loop(HOUR)
        assert ended(lambda: second.run(run))["status"] == "SUCCESS"
    assert [stored_scores(node) for node in nodes] == [{score: FORECASTS} for score in SCORES]
    for node in nodes:
        assert list((node / ".coordinator" / "logs").rglob("*.log")), "its models wrote their logs somewhere else"


def test_two_uis_over_one_database_do_not_see_each_others_runs(nodes: tuple[Path, Path]) -> None:
    with ExitStack() as both:
        uis = [ui_of(node, both.enter_context(coordinator_dev(node, clean_environment()))) for node in nodes]
        runs = [ui.launch_loop(HOUR) for ui in uis]
        for ui, run in zip(uis, runs, strict=True):
            assert ended(lambda ui=ui, run=run: ui.run(run))["status"] == "SUCCESS"
        assert [ui.runs() for ui in uis] == [[run] for run in runs]
    assert [stored_scores(node) for node in nodes] == [{score: FORECASTS} for score in SCORES]
