"""The job `<competition>_retention`: the tape's days into Parquet, and its old months out of the database."""

import dagster as dg

from coordinator_dagster.assets.tape_archive import NAME, describe_day
from coordinator_dagster.competition import Competition
from coordinator_dagster.errors import UserError
from coordinator_dagster.queues import BATCH_TAGS, queue_tag
from coordinator_dagster.resources import runtime_of_run
from coordinator_dagster.stages.facts import StageFailed


def retention_job_name(competition: Competition) -> str:
    return f"{competition.schema}_retention"


def retention_job(competition: Competition) -> dg.JobDefinition:
    """Launched by its schedule, or by hand. Retried when it fails: done twice, it does nothing more."""

    @dg.op(name=f"{competition.schema}_retain", pool=f"{competition.schema}_batch")
    def retain(context: dg.OpExecutionContext) -> None:
        try:
            with runtime_of_run(competition, context.run_id) as runtime:
                report = runtime.expire()
                for day in report.archived.days:
                    metadata = describe_day(runtime, day)
                    key = dg.AssetKey([competition.schema, NAME])
                    context.log_event(dg.AssetMaterialization(key, partition=day.isoformat(), metadata=metadata))
        except (UserError, StageFailed) as error:
            raise dg.Failure(str(error), allow_retries=False) from None
        for month, why in report.held.items():
            context.log.warning(f"{month} is old enough to go, and held: {why}")
        context.add_output_metadata(
            {
                "files_written": report.archived.written,
                "records_archived": report.archived.rows,
                "months_gone": ", ".join(report.gone) or "none",
                "records_gone": sum(report.gone.values()),
                "months_held": "\n".join(f"{month}: {why}" for month, why in report.held.items()) or "none",
            }
        )

    @dg.job(
        name=retention_job_name(competition),
        description="Archive the days that are over, and take the months off the tape that are older than "
        "MARKET_RECORD_TTL_DAYS and that no open cycle needs. The same as `coordinator expire`.",
        tags=BATCH_TAGS | queue_tag(competition, "batch"),
    )
    def retention() -> None:
        retain()

    return retention
