"""Cleans Dagster's tables and keeps the database in order: every night."""

import dagster as dg

from coordinator_dagster.competition import Competition

NIGHTLY = "15 1 * * *"  # after the tape's days are archived, and in the middle of no hour's hand-over


def housekeeping_schedule(competition: Competition, job: dg.JobDefinition) -> dg.ScheduleDefinition:
    """On from the beginning where a competition is live."""
    on = competition.settings.mode == "live" and competition.settings.sensors
    return dg.ScheduleDefinition(
        name=f"{competition.schema}_housekeeping_schedule",
        job=job,
        cron_schedule=NIGHTLY,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING if on else dg.DefaultScheduleStatus.STOPPED,
        description="Launches the housekeeping job at 01:15 UTC.",
    )
