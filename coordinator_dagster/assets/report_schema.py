"""What the report UI shows."""

import dagster as dg

from coordinator_dagster.competition import Competition
from coordinator_dagster.runtime import Runtime
from coordinator_dagster.stages.report import provide_report_schema


def report_schema(competition: Competition) -> dg.AssetsDefinition:
    @dg.asset(
        key=[competition.schema, "report_schema"],
        description="Columns and widgets of the report UI, from the slot REPORT_SCHEMA_PROVIDER. Materialize it "
        "after editing the slot.",
        group_name="report",
        kinds={"postgres", "python"},
        owners=["team:operators"],
        # Not behind a long backfill, and never more than one slot of the run queue.
        pool=f"{competition.schema}_report",
        required_resource_keys={"runtime"},
    )
    def run(context: dg.AssetExecutionContext) -> None:
        runtime: Runtime = context.resources.runtime
        schema = provide_report_schema(competition, runtime.store)
        context.add_asset_metadata({"schema": dg.MetadataValue.json(schema)})

    return run
