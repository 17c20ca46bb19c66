"""Two live runs are kept alive, and those that died are noticed."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import dagster as dg
import pytest

from coordinator_dagster.clock import FixedClock
from coordinator_dagster.code_location import build_definitions
from coordinator_dagster.competition import Competition
from coordinator_dagster.live_job import live_job
from coordinator_dagster.sensors.kept import KeptRuntime
from coordinator_dagster.sensors.live_runs import live_run_sensor
from slots.market import utc

NOW = utc("2026-01-05T03:20Z")
OPEN, NEXT = "2026-01-05-03:00", "2026-01-05-04:00"


class Watch:
    """The sensor, its instance and cursor, evaluated as the daemon does."""

    def __init__(self, made: Competition, instance: dg.DagsterInstance) -> None:
        self.made, self.instance, self.cursor = made, instance, None
        self.kept = KeptRuntime(made)
        self.clock = FixedClock(NOW)
        self.kept.runtime.__dict__["clock"] = self.clock
        self.sensor = live_run_sensor(made, self.kept)

    def look(self) -> list[Any]:
        context = dg.build_sensor_context(
            instance=self.instance, cursor=self.cursor, definitions=build_definitions(self.made)
        )
        found = list(self.sensor(context))
        self.cursor = context.cursor
        return found

    def wanted(self) -> list[tuple[str, str]]:
        return [(one.partition_key, one.run_key) for one in self.look() if isinstance(one, dg.RunRequest)]

    def launched(self, window: str, status: dg.DagsterRunStatus = dg.DagsterRunStatus.STARTED) -> dg.DagsterRun:
        return self.instance.create_run_for_job(live_job(self.made), tags={"dagster/partition": window}, status=status)


@pytest.fixture
def watch(competition: Callable[..., Competition]) -> Iterator[Watch]:
    made = competition(mode="live", competition_end="2026-01-05T06:00Z")
    with dg.DagsterInstance.ephemeral() as instance:
        watching = Watch(made, instance)
        yield watching
        watching.kept.runtime.close()


def test_the_open_window_and_the_next_have_a_run_each(watch: Watch) -> None:
    assert watch.wanted() == [(OPEN, f"{OPEN}/1"), (NEXT, f"{NEXT}/1")]
    watch.launched(OPEN)
    assert watch.wanted() == [(NEXT, f"{NEXT}/1")]
    watch.launched(NEXT, dg.DagsterRunStatus.STARTING)
    [skipped] = watch.look()
    assert OPEN in skipped.skip_message and NEXT in skipped.skip_message


def test_a_run_that_ended_is_started_again_under_a_key_of_its_own(watch: Watch) -> None:
    watch.launched(OPEN, dg.DagsterRunStatus.FAILURE)
    watch.launched(NEXT)
    assert watch.wanted() == [(OPEN, f"{OPEN}/2")]


def test_a_run_whose_machine_died_is_reported_and_replaced_at_the_second_look(watch: Watch) -> None:
    dead, alive = watch.launched(OPEN), watch.launched(NEXT)
    leases, database = watch.kept.runtime.store.leases, watch.kept.runtime.store.database
    assert leases.take(f"window {OPEN}", dead.run_id) and leases.take(f"window {NEXT}", alive.run_id)
    with database.transaction() as connection:
        connection.exec_driver_sql(
            "update leases set expires_at = now() - interval '1 s', renewed_at = now() - interval '11 s' "
            f"where holder = '{dead.run_id}'"
        )
    assert watch.wanted() == [], "once may be a database that was away"
    assert watch.wanted() == [(OPEN, f"{OPEN}/2")]
    assert watch.instance.get_run_by_id(dead.run_id).status is dg.DagsterRunStatus.FAILURE
    assert watch.instance.get_run_by_id(alive.run_id).status is dg.DagsterRunStatus.STARTED


def test_a_run_that_renews_again_is_left_alone(watch: Watch) -> None:
    run = watch.launched(OPEN)
    watch.launched(NEXT)
    leases, database = watch.kept.runtime.store.leases, watch.kept.runtime.store.database
    leases.take(f"window {OPEN}", run.run_id)
    with database.transaction() as connection:
        connection.exec_driver_sql("update leases set expires_at = now() - interval '1 s'")
    assert watch.wanted() == []
    assert leases.renew(f"window {OPEN}", run.run_id)
    assert watch.wanted() == []
    assert watch.instance.get_run_by_id(run.run_id).status is dg.DagsterRunStatus.STARTED


def test_a_run_whose_claim_a_restore_has_is_not_taken_for_dead(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coordinator_dagster.sensors.live_runs.START_SECONDS", -1)
    run, leases = watch.launched(OPEN), watch.kept.runtime.store.leases
    watch.launched(NEXT)
    leases.seize(["live", f"window {OPEN}", f"window {NEXT}"], "the restore")
    assert watch.wanted() == watch.wanted() == []
    assert watch.instance.get_run_by_id(run.run_id).status is dg.DagsterRunStatus.STARTED
    leases.release_all("the restore", "live", {})
    assert watch.wanted() == []
    assert len(watch.wanted()) == 2, "nobody came to life afterwards"


def test_nothing_is_started_long_before_the_start_or_after_the_end(watch: Watch) -> None:
    watch.clock.moment = utc("2026-01-04T20:00Z")
    assert watch.wanted() == []
    watch.clock.moment = utc("2026-01-04T23:10Z")
    assert [window for window, _ in watch.wanted()] == ["2026-01-05-00:00"], "its models are warm when it begins"
    watch.clock.moment = utc("2026-01-05T05:30Z")
    assert [window for window, _ in watch.wanted()] == ["2026-01-05-05:00"]
    watch.clock.moment += timedelta(hours=1)
    assert watch.wanted() == []


def test_it_is_on_in_production_and_off_where_it_is_told(competition: Callable[..., Competition]) -> None:
    for on, status in (("true", dg.DefaultSensorStatus.RUNNING), ("false", dg.DefaultSensorStatus.STOPPED)):
        made = competition(mode="live", sensors=on)
        [sensor] = [one for one in build_definitions(made).sensors or [] if one.name.endswith("live_run_sensor")]
        assert sensor.default_status is status
    [one] = build_definitions(competition(mode="replay")).sensors or []
    assert one.name.endswith("dead_run_sensor")
