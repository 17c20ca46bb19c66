"""The job `<competition>_housekeeping`."""

from collections.abc import Sequence
from dataclasses import asdict

import dagster as dg
from dagster._core.storage.tags import REPOSITORY_LABEL_TAG

from coordinator_dagster.competition import Competition
from coordinator_dagster.errors import UserError
from coordinator_dagster.housekeeping import Report, clean_dagster, keep_tables
from coordinator_dagster.queues import BATCH_TAGS, queue_tag
from coordinator_dagster.resources import runtime_of_run
from coordinator_dagster.store.dagster_rows import Owner

SECONDS = 1200.0  # of cleaning, a night


def housekeeping_job_name(competition: Competition) -> str:
    return f"{competition.schema}_housekeeping"


def housekeeping_job(competition: Competition, jobs: Sequence[str]) -> dg.JobDefinition:
    """`jobs`: the names of the competition's other jobs. Retried when it fails: done twice, it does nothing more."""
    every = [*jobs, housekeeping_job_name(competition)]

    @dg.op(name=f"{competition.schema}_keep_house", pool=f"{competition.schema}_batch")
    def keep_house(context: dg.OpExecutionContext) -> None:
        report = Report()
        # Runs of the location that launched this one are the competition's, whatever job or asset they were of.
        owner = Owner(context.run.tags_for_storage().get(REPOSITORY_LABEL_TAG), every, competition.schema)
        try:
            with runtime_of_run(competition, context.run_id) as runtime:
                keep_tables(runtime, report)
                clean_dagster(context.instance, owner, competition.settings.dagster_run_ttl_days, SECONDS, report)
        except UserError as error:
            raise dg.Failure(str(error), allow_retries=False) from None
        if report.unfinished:
            context.log.warning(f"there is more to clean than fits into {SECONDS:g} s: the next night goes on")
        metadata = asdict(report) | {"vacuumed": ", ".join(report.vacuumed) or "none needed it"}
        context.add_output_metadata(metadata)

    @dg.job(
        name=housekeeping_job_name(competition),
        description="Delete runs and events that ended more than DAGSTER_RUN_TTL_DAYS ago and on which no partition, "
        "check or backfill hangs; vacuum what needs it; make next month's tables.",
        tags=BATCH_TAGS | queue_tag(competition, "batch"),
    )
    def housekeeping() -> None:
        keep_house()

    return housekeeping
