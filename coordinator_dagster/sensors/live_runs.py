"""Keeps two live runs alive: one for the open window, one for the next. Nothing else starts one.

After an upgrade the one that waits makes way for one of the new release, which takes over at the next hand-over.
"""

import json
import time
from collections.abc import Collection, Iterator, Mapping, Sequence

import dagster as dg

from coordinator_dagster.competition import Competition
from coordinator_dagster.live.leasing import WORK, claim_of
from coordinator_dagster.live_job import live_job_name
from coordinator_dagster.release import TAG, release_of
from coordinator_dagster.run_tags import PARTITION
from coordinator_dagster.runtime import Runtime
from coordinator_dagster.sensors.kept import KeptRuntime
from coordinator_dagster.windows import Window
from slots.loader import SlotErrors

EVERY_SECONDS = 5
START_SECONDS = 120  # a run that has not come to its first line by then never will; under load it takes 20
REPLACE_SECONDS = 90  # real ones: a run that waits is not replaced so shortly before its window
NONE = "none is due"
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
        runs = [
            (record, competition.windows.of_key(record.dagster_run.tags[PARTITION]))
            for record in context.instance.get_run_records(dg.RunsFilter(job_name=job, statuses=ALIVE))
        ]
        suspects = json.loads(context.cursor or "{}")
        alive, seen = dict[Window, dg.DagsterRun](), {}
        for record, window in runs:
            run = record.dagster_run
            heard = _heartbeat(runtime, run, window, record.update_timestamp.timestamp())
            if heard is not None:
                seen[run.run_id] = heard
            if heard is not None and suspects.get(run.run_id) == heard:
                # Twice the same: its machine died with it, or it never came to life. Its claim is free.
                context.instance.report_run_failed(run, "the run died: it has not renewed its claim on the window")
            else:
                alive[window] = run
        context.update_cursor(json.dumps(seen))
        release, fault = _release(competition)
        if missing := _missing(runtime, alive):
            yield from _requests(context.instance, job, missing, release)
        else:
            replaced = replace_waiting(runtime, alive, release) if release else None
            yield dg.SkipReason(replaced or fault or f"alive: {', '.join(one.key for one in sorted(alive)) or NONE}")

    return sensor


def _heartbeat(runtime: Runtime, run: dg.DagsterRun, window: Window, launched: float) -> str | None:
    """What shows that the run has stopped living, if it does not change until the next look; None: it lives."""
    lease = runtime.store.leases.read(claim_of(window))
    if lease and lease.holder == run.run_id:
        return None if lease.alive else lease.renewed_at.isoformat()
    if lease and lease.restoring:
        return None  # it is being told to end, or waits for the new tables: failed, it would work beside its successor
    # Not at its first line yet: in the queue it may wait, but once it is launched not for ever.
    waits = run.status is dg.DagsterRunStatus.QUEUED or time.time() - launched < START_SECONDS
    return None if waits else f"launched {launched:.0f}"


def _missing(runtime: Runtime, alive: Collection[Window]) -> list[Window]:
    """The open window and the next, where something is due in them and no run is alive for them."""
    grid, schedule = runtime.competition.windows, runtime.store.schedule(runtime.competition)
    first = grid.at(runtime.clock.now())
    return [one for one in (first, grid.at(first.end)) if one not in alive and schedule.count(one)]


def _requests(
    instance: dg.DagsterInstance, job: str, windows: Sequence[Window], release: str | None
) -> list[dg.RunRequest]:
    """One run each; the key counts the window's runs so far, so that two evaluations do not start the same one."""
    requests, tags = [], {TAG: release} if release else {}
    for window in windows:
        before = instance.get_runs_count(dg.RunsFilter(job_name=job, tags={PARTITION: window.key}))
        requests.append(dg.RunRequest(f"{window.key}/{before + 1}", partition_key=window.key, tags=tags))
    return requests


def _release(competition: Competition) -> tuple[str | None, str | None]:
    """The release that runs would have now; or why nothing is replaced: it would not work."""
    try:
        return release_of(competition), None
    except SlotErrors as error:
        return None, f"no run is replaced by this release, for its slots cannot be loaded:\n{error}"


def replace_waiting(runtime: Runtime, alive: Mapping[Window, dg.DagsterRun], release: str) -> str | None:
    """Ask a run of another release to make way, where it waits and there is time to start one in its place."""
    work = runtime.store.leases.read(WORK)
    if not work or not work.alive:
        return None  # nobody works: whoever waits is about to
    now, speed = runtime.clock.now(), runtime.clock.speed
    for window, run in alive.items():
        # One whose window has begun takes over at any moment, or closes it.
        soon = (window.start - now).total_seconds() / speed < REPLACE_SECONDS
        if run.run_id == work.holder or run.tags.get(TAG) == release or soon:
            continue
        why = f"release {release} is here, this run is of {run.tags.get(TAG, 'an unknown one')}"
        runtime.store.leases.dismiss(claim_of(window), run.run_id, why)
        return f"the run that waits for window {window.key} makes way: {why}"
    return None
