"""What a code location is built of. Building it touches no network, database or slot."""

import warnings
from collections.abc import Callable

import dagster as dg

from coordinator_dagster.assets.emission_checkpoints import emission_checkpoints
from coordinator_dagster.assets.ground_truths import ground_truths
from coordinator_dagster.assets.inference_inputs import inference_inputs
from coordinator_dagster.assets.leaderboard import leaderboard
from coordinator_dagster.assets.market_records import market_records
from coordinator_dagster.assets.model_scores import model_scores
from coordinator_dagster.assets.predictions import predictions
from coordinator_dagster.assets.report_schema import report_schema
from coordinator_dagster.assets.scores import scores
from coordinator_dagster.assets.tape_archive import tape_archive
from coordinator_dagster.checks.asset_checks import asset_checks
from coordinator_dagster.competition import Competition
from coordinator_dagster.housekeeping_job import housekeeping_job
from coordinator_dagster.jobs import checks_job, emission_job, loop_job, order_job
from coordinator_dagster.live_job import live_job, live_job_name
from coordinator_dagster.logs import log_within_dagster
from coordinator_dagster.resources import runtime_resource
from coordinator_dagster.retention_job import retention_job
from coordinator_dagster.schedules.calendar import schedules
from coordinator_dagster.sensors.checks import checks_sensor
from coordinator_dagster.sensors.dead_runs import dead_run_sensor
from coordinator_dagster.sensors.failure import failure_sensor
from coordinator_dagster.sensors.health import health_sensor
from coordinator_dagster.sensors.kept import KeptRuntime
from coordinator_dagster.sensors.live_runs import live_run_sensor
from coordinator_dagster.sensors.watermark import watermark_sensor

ASSETS: tuple[Callable[[Competition], dg.AssetsDefinition], ...] = (
    market_records,
    inference_inputs,
    predictions,
    ground_truths,
    scores,
    model_scores,
    leaderboard,
    report_schema,
    emission_checkpoints,
    tape_archive,
)


def build_definitions(competition: Competition) -> dg.Definitions:
    """Everything Dagster knows of one competition."""
    log_within_dagster(competition)
    # These two parameters are beta and are what bulk backfills and neighbouring windows rest on.
    for parameter in ("backfill_policy", "allow_nonexistent_upstream_partitions"):
        warnings.filterwarnings("ignore", f"Parameter `{parameter}`", dg.BetaWarning)
    loop, emission, retention = loop_job(competition), emission_job(competition), retention_job(competition)
    checks, webhook = checks_job(competition), competition.settings.failure_webhook_url
    batch = [loop, emission, checks, order_job(competition), retention]
    housekeeping = housekeeping_job(competition, [*(job.name for job in batch), live_job_name(competition)])
    batch.append(housekeeping)
    live, kept = competition.settings.mode == "live", KeptRuntime(competition)
    return dg.Definitions(
        assets=[asset(competition) for asset in ASSETS],
        asset_checks=[asset_checks(competition)],
        jobs=[*batch, *([live_job(competition)] if live else [])],
        schedules=schedules(competition, checks, retention, housekeeping),
        sensors=[
            dead_run_sensor(competition, kept, {job.name for job in batch}, [loop, emission]),
            *(
                [live_run_sensor(competition, kept), watermark_sensor(competition, kept, loop, emission)]
                if live
                else []
            ),
            *([failure_sensor(competition, webhook), checks_sensor(competition, webhook, checks)] if webhook else []),
            *([health_sensor(competition, webhook)] if webhook and live else []),
        ],
        resources={"runtime": runtime_resource(competition)},
        # A step of its own process costs 3.6 s, more than the step.
        executor=dg.in_process_executor,
    )
