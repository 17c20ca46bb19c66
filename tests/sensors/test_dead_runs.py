"""A batch run shows that it lives; one whose process is gone is found, and only that one."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from coordinator_dagster import heartbeat
from coordinator_dagster.code_location import build_definitions
from coordinator_dagster.competition import Competition
from coordinator_dagster.heartbeat import beating, lease_of
from coordinator_dagster.sensors.kept import KeptRuntime
from coordinator_dagster.store.store import Store
from tests.conftest import PROJECT

LIVES = """
import signal, sys, time
from coordinator_dagster.competition import read_competition
from coordinator_dagster.resources import runtime_of_run
signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell runs in the background ignores it
with runtime_of_run(read_competition(), sys.argv[1]):
    print("at work", flush=True)
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
"""


class Watch:
    """The sensor, its instance and cursor, evaluated as the daemon does."""

    def __init__(self, made: Competition, instance: dg.DagsterInstance) -> None:
        self.made, self.instance, self.cursor = made, instance, None
        self.kept = KeptRuntime(made)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("coordinator_dagster.code_location.KeptRuntime", lambda competition: self.kept)
            self.definitions = build_definitions(made)
        [self.sensor] = [one for one in self.definitions.sensors or [] if one.name.endswith("dead_run_sensor")]

    @property
    def store(self) -> Store:
        return self.kept.runtime.store

    def look(self) -> str:
        """What it says; or what it wants launched."""
        context = dg.build_sensor_context(instance=self.instance, cursor=self.cursor, definitions=self.definitions)
        found: Any = self.sensor(context)
        self.cursor = found.cursor
        return str(found.skip_reason.skip_message if found.skip_reason else found.run_requests)

    def started(self, job: str = "loop") -> str:
        """A run that Dagster takes for being at work."""
        found = self.definitions.resolve_job_def(f"{self.made.schema}_{job}")
        run = self.instance.create_run_for_job(found, status=dg.DagsterRunStatus.STARTING)
        self.instance.report_dagster_event(dg.DagsterEvent(dg.DagsterEventType.RUN_START.value, found.name), run.run_id)
        return run.run_id

    def status(self, run_id: str) -> dg.DagsterRunStatus:
        run = self.instance.get_run_by_id(run_id)
        assert run
        return run.status


@pytest.fixture
def watch(competition: Callable[..., Competition]) -> Iterator[Watch]:
    with dg.DagsterInstance.ephemeral() as instance:
        watching = Watch(competition(mode="replay"), instance)
        yield watching
        watching.kept.runtime.close()


def process_of(run_id: str, home: Path) -> "subprocess.Popen[str]":
    environment = os.environ | {"COORDINATOR_HOME": str(home), "PYTHONPATH": str(PROJECT)}
    process = subprocess.Popen(
        [sys.executable, "-c", LIVES, run_id], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout and process.stdout.readline() == "at work\n"
    return process


def expire(watch: Watch, run_id: str) -> None:
    with watch.store.database.transaction() as connection:
        connection.exec_driver_sql(f"update leases set expires_at = now() where holder = '{run_id}'")


def test_a_run_that_was_killed_is_failed_at_the_second_look_and_one_that_lives_is_not(
    watch: Watch, tmp_path: Path
) -> None:
    killed, lives = watch.started(), watch.started()
    processes = [process_of(one, tmp_path) for one in (killed, lives)]
    try:
        assert "2 batch runs are at work, 0 of them" in watch.look()
        processes[0].kill()
        processes[0].wait()
        expire(watch, killed)  # it has not to be waited for
        assert "1 of them" in watch.look()
        assert watch.status(killed) is dg.DagsterRunStatus.STARTED, "once may be a database that was away"
        watch.look()
        assert watch.status(killed) is dg.DagsterRunStatus.FAILURE
        assert watch.status(lives) is dg.DagsterRunStatus.STARTED
    finally:
        for one in processes:
            one.kill()
            one.wait()


def test_where_dagster_can_ask_for_the_worker_it_comes_first(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    launcher = type(watch.instance.run_launcher)
    monkeypatch.setattr(launcher, "supports_check_run_worker_health", True, raising=False)
    run = watch.started()
    watch.store.leases.take(lease_of(run), run)
    expire(watch, run)
    watch.look()
    watch.look()
    assert watch.status(run) is dg.DagsterRunStatus.STARTED, "it may go on in another worker"
    with watch.store.database.transaction() as connection:
        connection.exec_driver_sql(
            f"update leases set renewed_at = now() - interval '11 minutes' where holder = '{run}'"
        )
    watch.look()
    watch.look()
    assert watch.status(run) is dg.DagsterRunStatus.FAILURE, "every state ends"


def test_a_run_whose_lease_is_taken_away_ends(watch: Watch, tmp_path: Path) -> None:
    run = watch.started()
    process = process_of(run, tmp_path)
    with watch.store.database.transaction() as connection:
        connection.exec_driver_sql(f"update leases set holder = 'restore' where holder = '{run}'")
    assert process.communicate(timeout=10)[0] == "interrupted\n"
    assert process.returncode == 0


def test_a_run_that_ends_leaves_no_lease(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "RENEW_SECONDS", 0.02)
    leases = watch.store.leases
    with beating(leases, "a run"):
        first = leases.read(lease_of("a run"))
        time.sleep(0.2)
        later = leases.read(lease_of("a run"))
        assert first and later and later.alive and later.renewed_at > first.renewed_at
    assert leases.read(lease_of("a run")) is None


def test_a_run_that_never_came_to_its_first_beat_is_dead_too(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    run = watch.started()
    assert "0 of them" in watch.look(), "it may still be opening its database"
    monkeypatch.setattr("coordinator_dagster.sensors.dead_runs.FIRST_BEAT_SECONDS", 0)
    watch.look()
    watch.look()
    assert watch.status(run) is dg.DagsterRunStatus.FAILURE


def test_runs_of_others_are_left_alone(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job whose name begins alike, and an asset of another competition; one of ours without a job is seen."""
    monkeypatch.setattr("coordinator_dagster.sensors.dead_runs.FIRST_BEAT_SECONDS", 0)

    @dg.job(name=f"{watch.made.schema}_loop_of_another")
    def other() -> None: ...

    @dg.asset(key=["another", "scores"])
    def elsewhere() -> None: ...

    @dg.asset(key=[watch.made.schema, "scores"])
    def ours() -> None: ...

    def begun(job: dg.JobDefinition, key: dg.AssetKey | None) -> str:
        run = watch.instance.create_run_for_job(
            job, status=dg.DagsterRunStatus.STARTED, asset_selection=frozenset({key}) if key else None
        )
        return run.run_id

    location = dg.Definitions(assets=[elsewhere, ours]).resolve_implicit_global_asset_job_def()
    theirs = [begun(other, None), begun(location, elsewhere.key)]
    own = begun(location, ours.key)
    watch.look()
    watch.look()
    assert [watch.status(one) for one in theirs] == [dg.DagsterRunStatus.STARTED] * 2
    assert watch.status(own) is dg.DagsterRunStatus.FAILURE


def test_a_run_whose_retry_was_given_up_is_retried_after_all(competition: Callable[..., Competition]) -> None:
    retries = {"run_retries": {"enabled": True, "max_retries": 2}}
    with dg.DagsterInstance.ephemeral(settings=retries) as instance:
        watching = Watch(competition(mode="replay"), instance)
        given_up, hopeless = watching.started(), watching.started()
        for one in (given_up, hopeless):
            run = instance.get_run_by_id(one)
            assert run
            instance.report_run_failed(run, "its process died")
            assert _will_retry(instance, one) == "true"
            instance.add_run_tags(one, {"dagster/will_retry": "false"})  # as Dagster does where it cannot
        run = instance.get_run_by_id(given_up)
        assert run
        for _ in range(5):
            instance.report_engine_event("Failed to retry run", run)
            instance.add_run_tags(given_up, {"dagster/will_retry": "false"})
            watching.look()
            assert _will_retry(instance, given_up) == "true"
            failures = len(instance.all_logs(given_up, of_type=dg.DagsterEventType.RUN_FAILURE))
            watching.look()
            assert len(instance.all_logs(given_up, of_type=dg.DagsterEventType.RUN_FAILURE)) == failures, "told once"
        assert _will_retry(instance, hopeless) == "false", "it failed for good"
        instance.report_engine_event("Failed to retry run", run)
        instance.add_run_tags(given_up, {"dagster/will_retry": "false"})
        watching.look()
        assert _will_retry(instance, given_up) == "false", "not for ever"


def test_a_dead_run_of_a_backfill_that_dagster_calls_failed_is_asked_for_anew(watch: Watch) -> None:
    """Its windows, by a run that is not the backfill's; not one that failed by its slot, nor one that is retried."""
    told = "Not retrying run since it is part of a backfill that is in a terminal state (COMPLETED_FAILED)."
    windows = {"dagster/asset_partition_range_start": "a", "dagster/asset_partition_range_end": "b"}
    died, raised, retried, other = (watch.started(job) for job in ("loop", "loop", "loop", "retention"))
    for one in (died, raised, retried, other):
        run = watch.instance.get_run_by_id(one)
        assert run
        watch.instance.add_run_tags(one, {**windows, "dagster/backfill": "failed"})
        watch.instance.report_run_failed(run, "its process died")
        watch.instance.report_engine_event(told, run)
    watch.instance.add_run_tags(raised, {"dagster/failure_reason": "STEP_FAILURE"})
    watch.instance.add_run_tags(retried, {"dagster/auto_retry_run_id": "another"})
    wanted = watch.look()
    assert f"in place of {died}" in wanted and all(f"{name!r}: {value!r}" in wanted for name, value in windows.items())
    assert "'dagster/backfill'" not in wanted
    assert not any(one in wanted for one in (raised, retried, other))


def _will_retry(instance: dg.DagsterInstance, run_id: str) -> str | None:
    run = instance.get_run_by_id(run_id)
    assert run
    return run.tags.get("dagster/will_retry")


def test_a_replay_that_is_not_begun_is_not_begun_by_looking(competition: Callable[..., Competition]) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        watching = Watch(competition(mode="replay"), instance)
        assert "0 batch runs" in watching.look()
        assert "runtime" not in watching.kept.__dict__


def test_a_server_that_takes_no_writes_for_a_while_silences_nobody(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    leases, tries = watch.store.leases, list[str]()
    renew = leases.renew

    def refused_once(name: str, holder: str) -> object:
        tries.append(name)
        if len(tries) == 1:
            with watch.store.database.transaction() as connection:
                connection.exec_driver_sql("set transaction read only")
                connection.exec_driver_sql("update leases set renewed_at = now()")
        return renew(name, holder)

    monkeypatch.setattr(heartbeat, "RENEW_SECONDS", 0.1)
    monkeypatch.setattr(leases, "renew", refused_once)
    with beating(leases, "run"):
        while len(tries) < 3 and "heartbeat" in {t.name for t in threading.enumerate()}:
            time.sleep(0.05)
    assert len(tries) >= 3
