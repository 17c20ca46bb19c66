"""The tape's days as Parquet."""

from datetime import date
from typing import Any

import dagster as dg

from coordinator_dagster.competition import Competition
from coordinator_dagster.errors import UserError
from coordinator_dagster.partitions import reaching
from coordinator_dagster.runtime import Runtime
from coordinator_dagster.stages.archive import archive_folder, is_complete
from coordinator_dagster.stages.facts import StageFailed
from coordinator_dagster.windows import LENGTHS
from slots.tape import boundary

NAME = "tape_archive"


def tape_archive(competition: Competition) -> dg.AssetsDefinition:
    days, end = competition.days, competition.closing

    @dg.asset(
        key=[competition.schema, NAME],
        description="Each UTC day of the tape as Parquet below TAPE_ARCHIVE_DIR, a file a series, with row counts and "
        "checksums in the table `tape_archives`. A day is written anew when records have come since, or when its files "
        "are not what was written. The retention job does it daily, and before a month leaves the tape.",
        group_name="archive",
        kinds={"postgres", "parquet", "python"},
        owners=["team:operators"],
        # The history that the first inputs look back on may begin a day earlier.
        partitions_def=dg.DailyPartitionsDefinition(
            start_date=boundary(competition.tape_start, LENGTHS["day"]),
            end_date=days.resolving(end).end if end else None,
            timezone="UTC",
        ),
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=f"{competition.schema}_batch",
        deps=[dg.AssetDep([competition.schema, "market_records"], partition_mapping=reaching(competition))],
        required_resource_keys={"runtime"},
    )
    def run(context: dg.AssetExecutionContext) -> None:
        runtime: Runtime = context.resources.runtime
        chosen = sorted(map(date.fromisoformat, context.partition_keys))
        try:
            report = runtime.archive(chosen)
        except (UserError, StageFailed) as error:
            raise dg.Failure(str(error), allow_retries=False) from None
        context.log.info(str(report))
        for day in chosen:
            context.add_asset_metadata(describe_day(runtime, day), partition_key=day.isoformat())

    return run


def describe_day(runtime: Runtime, day: date) -> dict[str, Any]:
    """What is archived of a day, for the UI."""
    competition, store = runtime.competition, runtime.store
    archived = list(store.archive.noted(day, day).values())
    through = {one: store.tape.complete_through([one]) for one in store.tape.series()}
    files = [
        dg.TableRecord({"file": str(one.file.path), "rows": one.rows, "bytes": one.bytes, "sha256": one.sha256})
        for one in archived
    ]
    columns = [dg.TableColumn("file"), dg.TableColumn("rows", "int"), dg.TableColumn("bytes", "int")]
    return {
        "rows": sum(one.rows for one in archived),
        "files": len(archived),
        "bytes": sum(one.bytes for one in archived),
        "complete": is_complete(competition, day, through),
        "folder": dg.MetadataValue.path(str(archive_folder(competition))),
        "content": dg.MetadataValue.table(files, schema=dg.TableSchema(columns=[*columns, dg.TableColumn("sha256")])),
    }
