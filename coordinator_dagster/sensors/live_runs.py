"""Keeps two live runs alive: one for the open window, one for the next. Nothing else starts one."""

import json
import time
from collections.abc import Iterator, Sequence

import dagster as dg

from coordinator_dagster.competition import Competition
from coordinator_dagster.live.leasing import claim_of
from coordinator_dagster.live_job import live_job_name
from coordinator_dagster.runtime import Runtime
from coordinator_dagster.sensors.kept import KeptRuntime
from coordinator_dagster.windows import Window

EVERY_SECONDS = 5
START_SECONDS = 120  # a run that has not come to its first line by then never will; under load it takes 20
PARTITION = "dagster/partition"
ALIVE = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING]
ALIVE += [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]


def live_run_sensor(competition: Competition, kept: KeptRuntime) -> dg.SensorDefinition:
    on = competition.settings.sensors
    job = live_job_name(competition)

    @dg.sensor(
        name=f"{competition.schema}_live_run_sensor",
        job_name=job,
        minimum_interval_seconds=EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING if on else dg.DefaultSensorStatus.STOPPED,
        description="Starts the live runs of the open window and of the next, and those that died anew. To stop the "
        "competition turn it off and terminate the runs, or give the order `pause` or `end`.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        runtime = kept.runtime
        runs = context.instance.get_run_records(dg.RunsFilter(job_name=job, statuses=ALIVE))
        suspects = json.loads(context.cursor or "{}")
        alive, seen = [], {}
        for record in runs:
            run = record.dagster_run
            window = competition.windows.of_key(run.tags[PARTITION])
            heard = _heartbeat(runtime, run, window, record.update_timestamp.timestamp())
            if heard is not None:
                seen[run.run_id] = heard
            if heard is not None and suspects.get(run.run_id) == heard:
                # Twice the same: its machine died with it, or it never came to life. Its claim is free.
                context.instance.report_run_failed(run, "the run died: it has not renewed its claim on the window")
            else:
                alive.append(window)
        context.update_cursor(json.dumps(seen))
        missing = _missing(runtime, alive)
        if not missing:
            yield dg.SkipReason(f"alive: {', '.join(one.key for one in sorted(alive)) or 'none is due'}")
        yield from _requests(context.instance, job, missing)

    return sensor


def _heartbeat(runtime: Runtime, run: dg.DagsterRun, window: Window, launched: float) -> str | None:
    """What shows that the run has stopped living, if it does not change until the next look; None: it lives."""
    lease = runtime.store.leases.read(claim_of(window))
    if lease and lease.holder == run.run_id:
        return None if lease.alive else lease.renewed_at.isoformat()
    # Not at its first line yet: in the queue it may wait, but once it is launched not for ever.
    waits = run.status is dg.DagsterRunStatus.QUEUED or time.time() - launched < START_SECONDS
    return None if waits else f"launched {launched:.0f}"


def _missing(runtime: Runtime, alive: Sequence[Window]) -> list[Window]:
    """The open window and the next, where something is due in them and no run is alive for them."""
    grid, schedule = runtime.competition.windows, runtime.store.schedule(runtime.competition)
    first = grid.at(runtime.clock.now())
    return [one for one in (first, grid.at(first.end)) if one not in alive and schedule.count(one)]


def _requests(instance: dg.DagsterInstance, job: str, windows: Sequence[Window]) -> list[dg.RunRequest]:
    """One run each; the key counts the window's runs so far, so that two evaluations do not start the same one."""
    requests = []
    for window in windows:
        before = instance.get_runs_count(dg.RunsFilter(job_name=job, tags={PARTITION: window.key}))
        requests.append(dg.RunRequest(f"{window.key}/{before + 1}", partition_key=window.key))
    return requests
