"""Ends batch runs whose process is gone, so that Dagster launches them again and their place in the pool is free."""

import json
import time
from collections.abc import Collection, Sequence

import dagster as dg

from coordinator_dagster.competition import Competition
from coordinator_dagster.heartbeat import lease_of
from coordinator_dagster.queues import asset_keys
from coordinator_dagster.sensors.kept import KeptRuntime
from coordinator_dagster.sensors.unretried import launch_left_behind

EVERY_SECONDS = 15
FIRST_BEAT_SECONDS = 120  # a run that has not opened its database by then never will
# Where the launcher can tell that a run's worker is gone, Dagster sees to it, and may have it go on in another.
AFTER_DAGSTER_SECONDS = 600
DIED = "the run died: its process has not renewed its lease"
STARTED = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])


def dead_run_sensor(
    competition: Competition, kept: KeptRuntime, jobs: Collection[str], backfilled: Sequence[dg.JobDefinition]
) -> dg.SensorDefinition:
    """`jobs`: the names of the competition's batch jobs; `backfilled`: those of them that backfills are of.

    On in replays, too: backfills die there as anywhere.
    """
    on, again = competition.settings.sensors, frozenset(job.name for job in backfilled)

    def ours(run: dg.DagsterRun) -> bool:
        """From the asset graph, runs are of no job of ours. Live runs are not: they have a claim on their window."""
        return run.job_name in jobs or any(key.path[0] == competition.schema for key in asset_keys(run))

    @dg.sensor(
        name=f"{competition.schema}_dead_run_sensor",
        jobs=backfilled,
        minimum_interval_seconds=EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING if on else dg.DefaultSensorStatus.STOPPED,
        description="Reports batch runs whose process is gone as failed, at the second look that finds no sign of "
        "life; Dagster then launches them again, twice at most.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        suspects, seen = json.loads(context.cursor or "{}"), {}
        patience = AFTER_DAGSTER_SECONDS if context.instance.run_launcher.supports_check_run_worker_health else 0
        runs = [one for one in context.instance.get_run_records(STARTED) if ours(one.dagster_run)]
        for record in runs:
            run = record.dagster_run
            silent = _silent_since(kept, record, patience)
            if silent is None:
                continue
            if suspects.get(run.run_id) == silent:
                context.instance.report_run_failed(run, DIED)
            else:
                seen[run.run_id] = silent
        requests = list(launch_left_behind(context.instance, ours, again))
        said = f"{len(runs)} batch runs are at work, {len(seen)} of them give no sign of life"
        return dg.SensorResult(requests, skip_reason=None if requests else said, cursor=json.dumps(seen))

    return sensor


def _silent_since(kept: KeptRuntime, record: dg.RunRecord, patience: float) -> str | None:
    """What shows that the run has stopped living, if it is the same at the next look; None: it lives.

    Or may: it has been silent for no longer than `patience`, in seconds.
    """
    lease, now = kept.runtime.store.leases.read(lease_of(record.dagster_run.run_id)), time.time()
    if lease:
        lives = lease.alive or now - lease.renewed_at.timestamp() < patience
        return None if lives else lease.renewed_at.isoformat()
    started = record.start_time or 0.0
    return None if now - started < max(FIRST_BEAT_SECONDS, patience) else f"started {started:.0f}"
