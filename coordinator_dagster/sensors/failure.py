"""Posts each failed run to FAILURE_WEBHOOK_URL, as Slack takes it, with what to do."""

from collections.abc import Callable

import dagster as dg
from dagster._core.definitions.run_request import DagsterRunReaction
from pydantic import SecretStr

from coordinator_dagster.competition import Competition
from coordinator_dagster.errors import first_line
from coordinator_dagster.housekeeping_job import housekeeping_job_name
from coordinator_dagster.jobs import checks_job_name, emission_job_name, loop_job_name, order_job_name
from coordinator_dagster.live_job import live_job_name
from coordinator_dagster.retention_job import retention_job_name
from coordinator_dagster.run_tags import partitions_of
from coordinator_dagster.sensors.untold import tell

RETRIED = "Nothing yet: Dagster starts it again by itself, and if that fails too, says so here."
ANYTHING_ELSE = "See the run in the Dagster UI. Mend the cause, then launch it again: what is stored stays."
REMEDIES: dict[Callable[[Competition], str], str] = {
    live_job_name: "The live-run sensor starts another one within seconds; nothing, unless it repeats. Then see the "
    "run's log: cycles that nobody performs are MISSED for good.",
    loop_job_name: "Mend the cause, then materialize these windows again: nothing is lost, and nothing is done twice. "
    "In a live competition the watermark sensor asks again by itself within the hour.",
    checks_job_name: "The checks themselves could not run: mend the cause and launch the job again.",
    order_job_name: "Look whether `coordinator order list` shows the order. If it does, materialize the windows it is "
    "about; if not, give it again.",
    retention_job_name: "Mend what the error names: nothing has left the tape that is not archived. Then launch the "
    "job again; tonight it runs by itself.",
    housekeeping_job_name: "Mend what the error names, then launch the job again; tonight it runs by itself. Nothing "
    "that a partition, a check or a backfill hangs on is ever deleted.",
    emission_job_name: "Materialize emission_checkpoints of these days again; a frozen day stays as it is.",
}


def failure_sensor(competition: Competition, webhook: SecretStr) -> dg.SensorDefinition:
    """Watches every job of the competition."""
    on = competition.settings.sensors

    @dg.run_failure_sensor(
        name=f"{competition.schema}_failure_sensor",
        default_status=dg.DefaultSensorStatus.RUNNING if on else dg.DefaultSensorStatus.STOPPED,
        description="Posts each failed run to the webhook of FAILURE_WEBHOOK_URL, with what to do. A message that "
        "the webhook does not take fails the tick, and is shown there; live, the health sensor tells it later.",
    )
    def sensor(context: dg.RunFailureSensorContext) -> DagsterRunReaction | None:
        return tell(webhook, context.dagster_run, message(competition, context))

    return sensor


def message(competition: Competition, context: dg.RunFailureSensorContext) -> str:
    """What failed, why, and what to do about it."""
    run = context.dagster_run
    what = ", ".join(filter(None, [f"{run.job_name} failed", partitions_of(run.tags)]))
    lines = [f"{competition.settings.competition}: {what}", f"run {run.run_id}"]
    for event in context.get_step_failure_events():
        error = event.step_failure_data.error
        while error and error.cause:
            error = error.cause
        lines.append(f"step {event.step_key}: {_reason(error.message if error else event.message)}")
    if len(lines) == 2:
        lines.append(_reason(context.failure_event.message))
    retried = run.tags.get("dagster/will_retry") == "true"
    remedy = RETRIED if retried else remedies(competition).get(run.job_name, ANYTHING_ELSE)
    return "\n".join([*lines, f"What to do: {remedy}"])


def remedies(competition: Competition) -> dict[str, str]:
    """What to do, by the job's name."""
    return {name(competition): remedy for name, remedy in REMEDIES.items()}


def _reason(text: str | None) -> str:
    return first_line(text or "") or "no reason was given"
