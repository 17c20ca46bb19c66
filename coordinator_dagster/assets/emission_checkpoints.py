"""What each day is paid by."""

from typing import Any

import dagster as dg

from coordinator_dagster.competition import Competition
from coordinator_dagster.partitions import day_partitions, reaching
from coordinator_dagster.runtime import Runtime


def emission_checkpoints(competition: Competition) -> dg.AssetsDefinition:
    @dg.asset(
        key=[competition.schema, "emission_checkpoints"],
        description="The board at the end of each UTC day, frozen once it is final: what rewards are paid by. What is "
        "settled or ordered later changes it no more. A day whose board is interim waits, and says so.",
        group_name="emit",
        kinds={"postgres", "python"},
        owners=["team:operators"],
        partitions_def=day_partitions(competition),
        backfill_policy=dg.BackfillPolicy.single_run(),
        # Not behind a long backfill, and never more than one slot of the run queue.
        pool=f"{competition.schema}_report",
        deps=[dg.AssetDep([competition.schema, "leaderboard"], partition_mapping=reaching(competition))],
        required_resource_keys={"runtime"},
    )
    def run(context: dg.AssetExecutionContext) -> None:
        runtime: Runtime = context.resources.runtime
        days = sorted(competition.days.of_key(key) for key in context.partition_keys)
        report = runtime.emit(days)
        context.log.info(str(report))
        frozen = runtime.store.checkpoints.frozen([day.end for day in days])
        for day in days:
            metadata = _kept(frozen[day.end]) if day.end in frozen else {"waits": report.waiting[day.key]}
            context.add_asset_metadata({"frozen": day.end in frozen, **metadata}, partition_key=day.key)

    return run


def _kept(payload: dict[str, Any]) -> dict[str, Any]:
    entries = payload["entries"]
    first = entries[0]["model_name"] if entries else "nobody"
    return {"listed": len(entries), "first_place": first, "version": payload["version"]}
