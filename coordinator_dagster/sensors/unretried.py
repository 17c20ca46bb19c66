"""Has runs launched again that Dagster would leave behind after a crash.

It tries once to retry a run, and gives up where the code server does not answer just then. And it does not retry runs
of a backfill that it has called failed, which it does as soon as one of the backfill's runs has died.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.events import RunFailureReason
from dagster._core.storage.tags import AUTO_RETRY_RUN_ID_TAG, RUN_FAILURE_REASON_TAG

from coordinator_dagster.run_tags import FIRST, LAST, PARTITION

# Dagster's words
GAVE_UP = "Failed to retry run"
OF_A_BACKFILL = "Not retrying run since it is part of a backfill"
AGAIN = "it is to be launched again: the code server did not answer when Dagster tried to"
LOOK_BACK = timedelta(minutes=30)
MOST_TIMES, MOST_RUNS = 5, 50
PARTITIONS = (PARTITION, FIRST, LAST)
TOLD = {dg.DagsterEventType.ENGINE_EVENT, dg.DagsterEventType.RUN_FAILURE}


def launch_left_behind(
    instance: dg.DagsterInstance, ours: Callable[[dg.DagsterRun], bool], jobs: frozenset[str]
) -> Iterator[dg.RunRequest]:
    """Report runs whose retry was given up as failed once more, which Dagster's daemon takes for new.

    What it will not retry by itself is asked for, where it is of one of `jobs`: the same windows, once.
    """
    since = datetime.now(UTC) - LOOK_BACK
    failed = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=since)
    for run in instance.get_runs(failed, limit=MOST_RUNS):
        if AUTO_RETRY_RUN_ID_TAG in run.tags or not ours(run):
            continue
        told = [entry.message for entry in instance.all_logs(run.run_id, of_type=TOLD) if _counts(entry)]
        last = told[-1] if told else ""
        if last == GAVE_UP and told.count(GAVE_UP) <= MOST_TIMES:
            instance.report_run_failed(run, AGAIN)
        elif last.startswith(OF_A_BACKFILL) and run.job_name in jobs and _died(run):
            tags = {name: value for name, value in run.tags.items() if name in PARTITIONS}
            yield dg.RunRequest(f"in place of {run.run_id}", job_name=run.job_name, tags=tags)


def _counts(entry: dg.EventLogEntry) -> bool:
    """What Dagster said of a retry, and each failure, which begins that anew."""
    failure = entry.dagster_event_type is dg.DagsterEventType.RUN_FAILURE
    return failure or entry.message == GAVE_UP or entry.message.startswith(OF_A_BACKFILL)


def _died(run: dg.DagsterRun) -> bool:
    """Not: a slot raised, or data were missing, as they will be again."""
    return run.tags.get(RUN_FAILURE_REASON_TAG) != RunFailureReason.STEP_FAILURE.value
