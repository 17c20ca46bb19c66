"""Archives the day that is over, and lets old months of the tape go: every night."""

import dagster as dg

from coordinator_dagster.competition import Competition

NIGHTLY = "45 0 * * *"  # the last candles of the day, and those that came late, are there by then


def retention_schedule(competition: Competition, job: dg.JobDefinition) -> dg.ScheduleDefinition:
    """On from the beginning where a competition is live; a replay's tape is archived by hand."""
    on = competition.settings.mode == "live" and competition.settings.sensors
    return dg.ScheduleDefinition(
        name=f"{competition.schema}_retention_schedule",
        job=job,
        cron_schedule=NIGHTLY,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING if on else dg.DefaultScheduleStatus.STOPPED,
        description="Launches the retention job at 00:45 UTC.",
    )
