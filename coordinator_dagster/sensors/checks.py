"""Posts each asset check that has turned bad to FAILURE_WEBHOOK_URL: once, until it has passed again."""

import dagster as dg
from dagster._core.definitions.run_request import DagsterRunReaction
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus as Status
from pydantic import SecretStr

from coordinator_dagster.competition import Competition
from coordinator_dagster.health.finding import many
from coordinator_dagster.sensors.untold import tell

REMEDY = (
    "The check's page in the UI lists the windows and rows; `coordinator audit` prints the broken rules. It is told "
    "again when it has passed and fails anew."
)


def checks_sensor(competition: Competition, webhook: SecretStr, job: dg.JobDefinition) -> dg.SensorDefinition:
    """Looks at each run of the job of all checks that has ended well: checks that fail do not fail it."""
    on = competition.settings.sensors

    @dg.run_status_sensor(
        name=f"{competition.schema}_checks_sensor",
        run_status=dg.DagsterRunStatus.SUCCESS,
        monitored_jobs=[job],
        default_status=dg.DefaultSensorStatus.RUNNING if on else dg.DefaultSensorStatus.STOPPED,
        description="Posts asset checks of severity ERROR that have turned bad to the webhook of FAILURE_WEBHOOK_URL.",
    )
    def sensor(context: dg.RunStatusSensorContext) -> DagsterRunReaction | None:
        turned = _turned_bad(context.instance, context.dagster_run.run_id)
        if not turned:
            return None
        name = competition.settings.competition
        lines = [f"{name}: {many(len(turned), 'asset check')} turned bad", *map(_line, turned)]
        return tell(webhook, context.dagster_run, "\n".join([*lines, f"What to do: {REMEDY}"]))

    return sensor


def _turned_bad(instance: dg.DagsterInstance, run_id: str) -> list[dg.AssetCheckEvaluation]:
    """What the run evaluated as a failed ERROR, and no evaluation before it did."""
    found = []
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION):
        event = entry.dagster_event
        one = event.asset_check_evaluation_data if event else None
        if one and _is_bad(one) and not _was_bad(instance, one.asset_check_key, run_id):
            found.append(one)
    return found


def _is_bad(one: dg.AssetCheckEvaluation) -> bool:
    return not one.passed and one.severity is dg.AssetCheckSeverity.ERROR


def _was_bad(instance: dg.DagsterInstance, key: dg.AssetCheckKey, run_id: str) -> bool:
    """Whether it was when it was evaluated before that run."""
    history = instance.event_log_storage.get_asset_check_execution_history(
        key, limit=10, status={Status.FAILED, Status.SUCCEEDED}
    )
    ids = [one.id for one in history if one.run_id == run_id]
    before = next((one for one in history if ids and one.id < min(ids)), None)
    event = before.event.dagster_event if before and before.event else None
    return event is not None and _is_bad(event.asset_check_evaluation_data)


def _line(one: dg.AssetCheckEvaluation) -> str:
    """Which check of which asset, and how many rows in which windows."""
    rows, windows = (one.metadata.get(name) for name in ("failing_rows", "failing_windows"))
    detail = f": {rows.value} failing rows" if rows else ""
    if windows:
        first, *more = str(windows.value).split(", ")
        detail += f" in {first}" + (f" and {many(len(more), 'window')} more" if more else "")
    return f"{one.check_name} of {one.asset_key.path[-1]}{detail}"
