"""Has Dagster launch a run again whose retry it gave up, as the code server did not answer just then.

It tries once, and then says of the run that it will not be retried: a backfill would stay incomplete, since two parts
died within seconds.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.storage.tags import AUTO_RETRY_RUN_ID_TAG, WILL_RETRY_TAG

GAVE_UP = "Failed to retry run"  # Dagster's words
AGAIN = "it is to be launched again: the code server did not answer when Dagster tried to"
LOOK_BACK = timedelta(minutes=30)
MOST_TIMES, MOST_RUNS = 5, 50
TOLD = {dg.DagsterEventType.ENGINE_EVENT, dg.DagsterEventType.RUN_FAILURE}


def retry_given_up(instance: dg.DagsterInstance, ours: Callable[[dg.DagsterRun], bool]) -> int:
    """Report such runs as failed once more, which Dagster's daemon takes for new; how many there were."""
    failed = dg.RunsFilter(
        statuses=[dg.DagsterRunStatus.FAILURE],
        tags={WILL_RETRY_TAG: "false"},
        updated_after=datetime.now(UTC) - LOOK_BACK,
    )
    runs = [one for one in instance.get_runs(failed, limit=MOST_RUNS) if ours(one) and _given_up(instance, one)]
    for run in runs:
        instance.report_run_failed(run, AGAIN)
    return len(runs)


def _given_up(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether that is the last that was told of it, and not for ever."""
    if AUTO_RETRY_RUN_ID_TAG in run.tags:
        return False
    told = [one.message == GAVE_UP for one in instance.all_logs(run.run_id, of_type=TOLD) if _counts(one)]
    return bool(told) and told[-1] and sum(told) <= MOST_TIMES


def _counts(entry: dg.EventLogEntry) -> bool:
    return entry.message == GAVE_UP or entry.dagster_event_type is dg.DagsterEventType.RUN_FAILURE
