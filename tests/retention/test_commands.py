"""`coordinator expire`, the asset `tape_archive` and the retention job."""

from unittest.mock import patch

import dagster as dg
import pytest
from typer.testing import CliRunner

from coordinator_dagster.cli import app
from coordinator_dagster.cli.console import console
from coordinator_dagster.code_location import build_definitions
from coordinator_dagster.competition import Competition
from coordinator_dagster.runtime import open_runtime
from coordinator_dagster.stages.archive import archive_folder
from tests.retention.conftest import END, START, Make, replay_all


def typed(*arguments: str) -> str:
    with patch.object(console, "_width", 200):
        done = CliRunner().invoke(app, ["expire", *arguments])
    assert done.exit_code == 0, f"{done.output}\n{done.exception}"
    return done.output


def test_the_command_says_what_would_go_and_does_it(slow: Make) -> None:
    made = slow()
    assert "the tape has no records yet" in typed("--dry-run")
    with open_runtime(made) as runtime:
        replay_all(runtime)
        said = typed("--dry-run")
        assert not archive_folder(made).exists()
        lines = {line.split()[0]: line for line in said.splitlines() if line.strip().startswith("2026-")}
        assert "0 of 31" in lines["2026-01"]
        assert "goes: it ended more than 5 days ago" in lines["2026-01"]
        assert "2026-01-27 21:00" in lines["2026-01"]
        assert "kept: until 2026-03-06, 5 days after its end" in lines["2026-02"]
        (rows,) = runtime.store.database.read("select count(*) from market_records where ts_event < '2026-02-01Z'")[0]
        said = typed()
        assert f"2026-01 has left the tape, with {rows} records" in said
        assert "files written" in said
        assert "2026-01" not in typed("--dry-run")
    with open_runtime(slow("b", market_record_ttl_days=0)) as runtime:
        runtime.ingest(runtime.competition.windows.between(START, END))
        assert typed().count("kept: MARKET_RECORD_TTL_DAYS=0") == 2


def materialized(made: Competition, instance: dg.DagsterInstance) -> dict[str, dict[str, object]]:
    """The metadata of the days of `tape_archive`."""
    key = dg.AssetKey([made.schema, "tape_archive"])
    records = instance.fetch_materializations(key, limit=1000).records
    return {
        one.partition_key: {name: value.value for name, value in one.asset_materialization.metadata.items()}
        for one in records
        if one.partition_key and one.asset_materialization
    }


def test_the_asset_archives_days_and_the_job_lets_months_go(slow: Make) -> None:
    made = slow()
    with open_runtime(made) as runtime:
        replay_all(runtime)
    definitions = build_definitions(made)
    asset = definitions.resolve_assets_def([made.schema, "tape_archive"])
    with dg.DagsterInstance.ephemeral() as instance:
        days = {"dagster/asset_partition_range_start": "2026-01-27", "dagster/asset_partition_range_end": "2026-01-30"}
        job = dg.define_asset_job("archive", [asset]).resolve(asset_graph=definitions.resolve_asset_graph())
        assert job.execute_in_process(instance=instance, tags=days, resources=definitions.resources).success
        found = materialized(made, instance)
        assert set(found) == {f"2026-01-{day}" for day in (27, 28, 29, 30)}
        first, second = found["2026-01-27"], found["2026-01-28"]
        assert (first["files"], first["complete"], second["files"]) == (2, True, 2)
        assert first["rows"] < second["rows"] == 24 + ticks_of(made, "2026-01-28")
        retention = definitions.resolve_job_def(f"{made.schema}_retention")
        assert retention.execute_in_process(instance=instance).success
        found = materialized(made, instance)
        assert {"2026-01-31", "2026-02-05"} <= set(found), "what the job archives shows in the asset"
    with open_runtime(made) as runtime:
        assert [month.name for month in runtime.store.expiry.months()] == ["2026-02"]
        assert ticks_of(made, "2026-01-28") == 0


def ticks_of(made: Competition, day: str) -> int:
    with open_runtime(made) as runtime:
        found = runtime.store.database.read(
            "select count(*) as n from market_records where kind = 'tick' and ts_event::date = cast(:day as date)",
            day=day,
        )
        return int(found[0].n)


@pytest.mark.parametrize(("mode", "sensors", "status"), [
    ("live", "true", dg.DefaultScheduleStatus.RUNNING),
    ("live", "false", dg.DefaultScheduleStatus.STOPPED),
    ("replay", "true", dg.DefaultScheduleStatus.STOPPED),
])  # fmt: skip
def test_it_runs_by_itself_where_a_competition_is_live(
    slow: Make, mode: str, sensors: str, status: dg.DefaultScheduleStatus
) -> None:
    made = slow(mode=mode, sensors=sensors, feed_provider="simulated")
    definitions = build_definitions(made)
    found = {}
    for schedule in definitions.schedules or []:
        assert isinstance(schedule, dg.ScheduleDefinition)
        found[schedule.job_name] = (schedule.cron_schedule, schedule.default_status)
    wanted = {"retention": "45 0 * * *", "housekeeping": "15 1 * * *", "checks_job": "23 * * * *"}
    assert found == {f"{made.schema}_{name}": (when, status) for name, when in wanted.items()}
