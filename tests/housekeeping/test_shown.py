"""The pages of the UI, asked as the UI asks, before and after the job."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from coordinator_dagster.store.database import with_driver
from tests.backups.conftest import production
from tests.ui import PROJECT, Ui, coordinator_dev, ended, environment, sql

ASSETS = ("market_records", "predictions", "ground_truths", "scores", "leaderboard")
ASSET = """query($key: AssetKeyInput!) {
    assetNodeOrError(assetKey: $key) {... on AssetNode {
        partitionStats {numMaterialized numFailed numMaterializing numPartitions}
        assetPartitionStatuses {... on TimePartitionStatuses {ranges {startKey endKey status}}}
        latestMaterializationByPartition {partition runId timestamp metadataEntries {label}}
        assetChecksOrError {... on AssetChecks {checks {name executionForLatestMaterialization {
            runId status evaluation {success timestamp}}}}}
        staleStatus
    }}
    assetsLatestInfo(assetKeys: [$key]) {latestMaterialization {timestamp runId partition} latestRun {id status}}
}"""
RUNS = "{runsOrError {... on Runs {results {runId status jobName startTime endTime tags {key value}}}}}"


@pytest.fixture
def ui(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    home, name = tmp_path_factory.mktemp("ui"), f"test_shown_{os.getpid()}"
    sql(database_url, f"create schema {name}_dagster")
    settings = environment(
        home,
        competition=name.replace("_", "-"),
        database_url=database_url,
        dagster_postgres_url=f"{database_url}?options=-csearch_path%3D{name}_dagster",
        competition_start="2026-01-05T00:00Z",
        competition_end="2026-01-05T03:00Z",
        models_dir=str(PROJECT / "examples" / "models"),
    )
    try:
        with coordinator_dev(home, settings) as port:
            yield Ui(name, port)
    finally:
        sql(database_url, f"drop schema if exists {name}_dagster cascade", f"drop schema if exists {name} cascade")


@production
@pytest.mark.ui
def test_they_answer_the_same(ui: Ui, database_url: str) -> None:
    done = dict[str, str]()

    def launched(name: str, job: str, **tags: str) -> None:
        done[name] = ui.launch(job, {f"dagster/{key}": value for key, value in tags.items()})
        assert ended(lambda: ui.run(done[name]))["status"] == "SUCCESS", name

    launched("again since", "loop", partition="2026-01-05-00:00")
    launched("checked before", "checks_job")
    launched("a window", "loop", partition="2026-01-05-00:00")
    launched(
        "a range", "loop", asset_partition_range_start="2026-01-05-01:00", asset_partition_range_end="2026-01-05-02:00"
    )
    launched("checked", "checks_job")
    sql(database_url, f"update {ui.competition}_dagster.runs set update_timestamp = now() - interval '40 days'")
    before, runs = shown(ui), runs_of(ui)
    rows = events(database_url, ui)
    launched("housekeeping", "housekeeping")
    after = runs_of(ui)
    assert runs.keys() - after.keys() == {done["again since"], done["checked before"]}
    assert {run: after[run] for run in runs if run in after} == {run: one for run, one in runs.items() if run in after}
    assert shown(ui) == before
    assert {"a window": 0 < events(database_url, ui)[done["a window"]] < rows[done["a window"]] / 2} == {
        "a window": True
    }


def shown(ui: Ui) -> dict[str, Any]:
    return {name: ui.ask(ASSET, key=ui.key(name)) for name in ASSETS}


def runs_of(ui: Ui) -> dict[str, Any]:
    return {one["runId"]: one for one in ui.ask(RUNS)["runsOrError"]["results"]}


def events(database_url: str, ui: Ui) -> dict[str, int]:
    engine = create_engine(with_driver(database_url))
    with engine.connect() as connection:
        counted = connection.execute(
            text(f"select run_id, count(*) from {ui.competition}_dagster.event_logs group by 1")
        ).all()
    engine.dispose()
    return {row[0]: row[1] for row in counted}
