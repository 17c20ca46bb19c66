"""Runs every asset check, each hour."""

import dagster as dg

from coordinator_dagster.competition import Competition

HOURLY = "23 * * * *"  # away from the hand-over at the full hour and from the retention at 00:45
# A run that died with its machine stays STARTED: after an hour it is ended, and its place in the pool is free.
TAGS = {"dagster/priority": "-1", "dagster/max_runtime": "3600"}


def checks_schedule(competition: Competition, job: dg.JobDefinition) -> dg.ScheduleDefinition:
    """On from the beginning where a competition is live; of a replay they are launched by hand."""
    on = competition.settings.mode == "live" and competition.settings.sensors
    return dg.ScheduleDefinition(
        name=f"{competition.schema}_checks_schedule",
        job=job,
        cron_schedule=HOURLY,
        execution_timezone="UTC",
        tags=TAGS,
        default_status=dg.DefaultScheduleStatus.RUNNING if on else dg.DefaultScheduleStatus.STOPPED,
        description="Launches the job of all asset checks at 23 minutes past each hour.",
    )
