"""Checks that turn bad are told once, with what fails, and are seen by whoever looks at the competition's health."""

from collections.abc import Callable

import dagster as dg
import pytest
from sqlalchemy import text

from coordinator_dagster.code_location import build_definitions
from coordinator_dagster.competition import Competition
from coordinator_dagster.health.dagster_tables import DagsterTables
from coordinator_dagster.health.readings import Dagster
from coordinator_dagster.store.store import open_store
from tests.original_faults.world import always, opened, perform, settle, windows_of
from tests.sensors.webhooks import SECRET, Webhook

BREAK = "update leaderboards set entries_jsonb = jsonb_set(entries_jsonb, '{0,rank}', '7') where entries_jsonb <> '[]'"
MEND = BREAK.replace("'7'", "'1'")


class World:
    """A settled hour, and the job of its checks run in this process."""

    def __init__(self, made: Competition, instance: dg.DagsterInstance) -> None:
        self.made, self.instance = made, instance
        self.definitions = build_definitions(made)
        with opened(made, {"a": always(0.001), "b": always(0.002)}) as runtime:
            perform(runtime, windows_of(made))
            settle(runtime, windows_of(made))

    def do(self, statement: str) -> None:
        store = open_store(self.made)
        with store.database.transaction() as connection:
            connection.execute(text(statement))
        store.close()

    def check(self) -> None:
        """Run the job, then evaluate the sensor on its end."""
        job = self.definitions.resolve_job_def(f"{self.made.schema}_checks_job")
        done = job.execute_in_process(instance=self.instance)
        [sensor] = [one for one in self.definitions.sensors or () if one.name == f"{self.made.schema}_checks_sensor"]
        assert isinstance(sensor, dg.RunStatusSensorDefinition)
        sensor(
            dg.build_run_status_sensor_context(
                sensor_name=sensor.name,
                dagster_event=done.all_events[-1],
                dagster_instance=self.instance,
                dagster_run=done.dagster_run,
            )
        )

    def read(self) -> Dagster:
        return DagsterTables.of(self.instance).read(self.made)


def test_a_check_that_turns_bad_is_told_once_and_again_when_it_has_passed(
    competition: Callable[..., Competition], webhook: Webhook
) -> None:
    made = competition(competition_end="2026-01-05T01:00Z", failure_webhook_url=webhook.url)
    with dg.DagsterInstance.ephemeral() as instance:
        world = World(made, instance)
        assert world.read() == Dagster([], []), "nothing has been evaluated"
        world.check()
        assert not webhook.bodies, "warnings are not told"
        assert world.read().checked and not [one for one in world.read().checks if one.severity == "ERROR"]
        world.do(BREAK)
        world.check()
        world.check()
        [body] = webhook.bodies
        lines = body["text"].splitlines()
        assert lines[0].endswith("asset checks turned bad")
        assert any(
            line.startswith("rank_agrees_with_metric of leaderboard: ") and " rows in " in line for line in lines
        )
        assert lines[-1].startswith("What to do: ")
        failed = {one.check for one in world.read().checks if one.severity == "ERROR"}
        assert {"rank_agrees_with_metric", "audit"} <= failed
        world.do(MEND)
        world.check()
        assert not [one for one in world.read().checks if one.severity == "ERROR"]
        world.do(BREAK)
        world.check()
        assert len(webhook.bodies) == 2


def test_the_jobs_whose_newest_run_failed_are_read(competition: Callable[..., Competition]) -> None:
    made = competition(raw_input_provider="nowhere:function")
    definitions = build_definitions(made)
    job = definitions.resolve_job_def(f"{made.schema}_loop")
    tags = {
        "dagster/asset_partition_range_start": "2026-01-05-00:00",
        "dagster/asset_partition_range_end": "2026-01-05-00:00",
    }
    with dg.DagsterInstance.ephemeral() as instance:
        done = job.execute_in_process(instance=instance, tags=tags, raise_on_error=False)
        [failed] = DagsterTables.of(instance).read(made).runs
        assert (failed.job, failed.run) == ("loop", done.run_id)
        instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
        assert DagsterTables.of(instance).read(made).runs == [failed], "one that runs has not succeeded yet"
        instance.create_run_for_job(job, status=dg.DagsterRunStatus.SUCCESS)
        assert DagsterTables.of(instance).read(made).runs == []


def test_a_live_run_that_works_again_is_as_good_as_one_that_ended(competition: Callable[..., Competition]) -> None:
    made = competition(mode="live")
    job = build_definitions(made).resolve_job_def(f"{made.schema}_live")
    with dg.DagsterInstance.ephemeral() as instance:
        instance.create_run_for_job(job, status=dg.DagsterRunStatus.FAILURE)
        assert [one.job for one in DagsterTables.of(instance).read(made).runs] == ["live"]
        instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
        assert DagsterTables.of(instance).read(made).runs == []


@pytest.mark.parametrize(("settings", "on"), [({}, True), ({"sensors": "false"}, False), ({"mode": "replay"}, False)])
def test_the_checks_run_by_themselves_where_it_is_live(
    competition: Callable[..., Competition], webhook: Webhook, settings: dict[str, str], on: bool
) -> None:
    made = competition(**{"mode": "live", "failure_webhook_url": webhook.url, **settings})
    definitions = build_definitions(made)
    [schedule] = [one for one in definitions.schedules or () if one.name == f"{made.schema}_checks_schedule"]
    assert isinstance(schedule, dg.ScheduleDefinition)
    assert (schedule.default_status is dg.DefaultScheduleStatus.RUNNING) == on
    assert schedule.job_name == f"{made.schema}_checks_job"
    sensors = {one.name.removeprefix(f"{made.schema}_"): one for one in definitions.sensors or ()}
    assert ("health_sensor" in sensors) == (made.settings.mode == "live") and "checks_sensor" in sensors
    assert SECRET not in repr([vars(one) for one in sensors.values()])
