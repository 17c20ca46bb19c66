"""What the operator does in the Dagster UI: a real webserver and daemon, asked through GraphQL as the UI asks."""

import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from coordinator_dagster.code_location import build_definitions
from coordinator_dagster.competition import Competition
from coordinator_dagster.replay import replay
from coordinator_dagster.runtime import open_runtime
from tests.tables import settled_tables
from tests.ui import PROJECT, Ui, coordinator_dev, ended, environment, sql

pytestmark = pytest.mark.ui
WINDOWED = {
    "market_records": "ingest",
    "inference_inputs": "infer",
    "predictions": "infer",
    "ground_truths": "resolve",
    "scores": "score",
    "model_scores": "rank",
    "leaderboard": "rank",
}
GROUPS = {**WINDOWED, "report_schema": "report", "emission_checkpoints": "emit", "tape_archive": "archive"}
HOURS = [f"2026-01-05-{hour:02}:00" for hour in range(4)]
SETTINGS = {
    "feed_provider": "simulated",
    "competition_start": "2026-01-05T00:00Z",
    "competition_end": "2026-01-05T04:00Z",
    "models_dir": str(PROJECT / "examples" / "models"),
}


@pytest.fixture(scope="module")
def ui(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    """`coordinator dev` on a free port, with a schema of its own for Dagster."""
    home, name = tmp_path_factory.mktemp("ui"), f"test_ui_{os.getpid()}"
    sql(database_url, f"create schema {name}_dagster")
    settings = environment(
        home,
        **SETTINGS,
        competition=name.replace("_", "-"),
        database_url=database_url,
        dagster_postgres_url=f"{database_url}?options=-csearch_path%3D{name}_dagster",
    )
    try:
        with coordinator_dev(home, settings) as port:
            yield Ui(name, port)
    finally:
        sql(database_url, f"drop schema if exists {name}_dagster cascade", f"drop schema if exists {name} cascade")


def test_pages_open(ui: Ui) -> None:
    """The page reads Dagster's storage through the webserver's own engine; GraphQL alone may not."""
    with urllib.request.urlopen(f"http://127.0.0.1:{ui.port}/assets", timeout=30) as response:
        assert '<div id="root"' in response.read().decode()


def test_lineage_says_what_each_asset_is(ui: Ui) -> None:
    nodes = ui.ask(
        """{assetNodes {
            assetKey {path} groupName description kinds isPartitioned
            owners {... on TeamAssetOwner {team}} dependencyKeys {path}
        }}"""
    )["assetNodes"]
    assert {tuple(node["assetKey"]["path"]): node["groupName"] for node in nodes} == {
        (ui.competition, name): group for name, group in GROUPS.items()
    }
    for node in nodes:
        name = node["assetKey"]["path"][-1]
        assert len(node["description"]) > 40, name
        assert "postgres" in node["kinds"], name
        assert node["owners"] == [{"team": "operators"}], name
        assert node["isPartitioned"] == (name != "report_schema"), name
    reads = {node["assetKey"]["path"][-1]: {key["path"][-1] for key in node["dependencyKeys"]} for node in nodes}
    assert reads == {
        "market_records": set(),
        "inference_inputs": {"market_records"},
        "predictions": {"inference_inputs"},
        "ground_truths": {"predictions", "market_records"},
        "scores": {"predictions", "ground_truths"},
        "model_scores": {"scores"},
        "leaderboard": {"model_scores"},
        "report_schema": set(),
        "emission_checkpoints": {"leaderboard"},
        "tape_archive": {"market_records"},
    }


def test_a_backfill_and_a_materialization_equal_the_replay(
    ui: Ui, competition: Callable[..., Competition], database_url: str
) -> None:
    launched = ui.launch_backfill(HOURS[:3])
    backfill = ended(lambda: ui.backfill(launched))
    assert backfill["status"] == "COMPLETED_SUCCESS", backfill
    assert len(backfill["runs"]) == 1, "a backfill of some windows is one run"

    board = _materialization(ui, "leaderboard")
    assert board["partition"] == HOURS[2]
    assert board["listed"] == 3
    assert board["seconds"] > 0
    assert board["final"] is True
    lines = board["board"].splitlines()
    assert [len(lines), lines[0].count("|")] == [5, lines[2].count("|")], "a header, a rule and three models"
    for model in ("Trend following", "Mean reversion", "Volatility regime"):
        assert model in board["board"]
    scored = _materialization(ui, "scores")
    assert scored["scored"] + scored["charged"] + scored["exempt"] == 180
    assert "](data:image/png;base64,iVBOR" in scored["price_and_forecasts"]

    run = ui.launch_loop(HOURS[3])
    assert ended(lambda: ui.run(run))["status"] == "SUCCESS"
    assert _materialization(ui, "leaderboard")["partition"] == HOURS[3]

    with open_runtime(competition("replayed", **SETTINGS)) as runtime:
        windows = runtime.competition.windows.between(
            runtime.competition.start, runtime.competition.settings.competition_end
        )
        # Windows by the backfill's range and then the single one: boards inside know no later truth.
        for some in (windows[:3], windows[3:]):
            replay(runtime, some, lambda done: None)
        replayed = settled_tables(runtime.store)
    with open_runtime(competition("driven", **SETTINGS, competition=ui.competition.replace("_", "-"))) as runtime:
        driven = settled_tables(runtime.store)
    assert replayed["scores"], "nothing was scored: the test would show nothing"
    assert driven == replayed


def test_a_broken_slot_stops_its_asset_only(
    competition: Callable[..., Competition], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = competition(scoring_function="nowhere:function")
    job = build_definitions(made).resolve_job_def(f"{made.schema}_loop")
    tags = {"dagster/asset_partition_range_start": HOURS[0], "dagster/asset_partition_range_end": HOURS[1]}
    with dg.DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(instance=instance, tags=tags, raise_on_error=False)
        assert not result.success
        done = {event.asset_key.path[-1] for event in result.get_asset_materialization_events() if event.asset_key}
        failures = result.filter_events(lambda event: event.is_step_failure)
    assert done == {"market_records", "inference_inputs", "predictions", "ground_truths"}
    assert [failure.step_key for failure in failures] == [f"{made.schema}__scores"]
    error = failures[0].step_failure_data.error
    assert error
    assert "SCORING_FUNCTION=nowhere:function (from environment): there is no module 'nowhere'" in error.to_string()


def test_definitions_validate_without_database_or_network(tmp_path: Path) -> None:
    for name in ("dagster.yaml", "workspace.yaml"):
        shutil.copyfile(PROJECT / name, tmp_path / name)
    (tmp_path / "sitecustomize.py").write_text(NO_NETWORK)
    result = subprocess.run(
        [str(Path(sys.executable).with_name("dagster")), "definitions", "validate"],
        cwd=tmp_path,
        env={**_lifeless(tmp_path), "PYTHONPATH": f"{tmp_path}:{PROJECT}"},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "All code locations passed validation" in result.stdout + result.stderr
    assert not (tmp_path / "asked").exists(), (tmp_path / "asked").read_text()
    assert not (tmp_path / ".coordinator").exists(), "the embedded PostgreSQL was started"


def test_importing_the_definitions_touches_nothing(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(NO_NETWORK)
    code = (
        "import psycopg2, sys\n"
        "def refuse(*args, **named): raise AssertionError('the database was asked')\n"
        "psycopg2.connect = refuse\n"
        "import coordinator_dagster.definitions as loaded\n"
        "assert len(loaded.defs.resolve_asset_graph().get_all_asset_keys()) == 10\n"
        "assert not {'slots.defaults', 'nowhere', 'matplotlib.figure'} & set(sys.modules)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**_lifeless(tmp_path), "PYTHONPATH": f"{tmp_path}:{PROJECT}"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    assert not (tmp_path / "asked").exists(), (tmp_path / "asked").read_text()


# Python reads it at its start: every connection, but those through unix sockets, is noted and refused.
NO_NETWORK = """
import os, sys
def watch(event, args):
    if event == "socket.getaddrinfo" or (event == "socket.connect" and isinstance(args[1], tuple)):
        with open(os.path.join(os.environ["COORDINATOR_HOME"], "asked"), "a") as file:
            file.write(f"{event} {args}\\n")
        raise OSError(f"no network: {event} {args}")
sys.addaudithook(watch)
"""


def _lifeless(home: Path) -> dict[str, str]:
    """Settings of which nothing works: no database, no such slot, no tape."""
    return environment(
        home,
        database_url="postgresql://nobody@127.0.0.1:9/none",
        scoring_function="nowhere:function",
        feed_provider="replay",
        feed_tape_dir=home / "missing",
        competition_start="2026-01-05T00:00Z",
    )


def _materialization(ui: Ui, asset: str) -> dict[str, Any]:
    """The latest one's partition and metadata."""
    found = ui.ask(
        """query($key: AssetKeyInput!) {assetOrError(assetKey: $key) {... on Asset {
            assetMaterializations(limit: 1) {partition metadataEntries {
                label ... on IntMetadataEntry {intValue} ... on FloatMetadataEntry {floatValue}
                ... on BoolMetadataEntry {boolValue} ... on TextMetadataEntry {text}
                ... on MarkdownMetadataEntry {mdStr}
            }}
        }}}""",
        key=ui.key(asset),
    )["assetOrError"]["assetMaterializations"][0]
    return {"partition": found["partition"]} | {
        entry.pop("label"): next(iter(entry.values()), None) for entry in found["metadataEntries"]
    }
