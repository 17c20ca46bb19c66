"""Launches jobs by the calendar, in UTC, away from the hand-over at each full hour."""

import dagster as dg

from coordinator_dagster.competition import Competition
from coordinator_dagster.queues import BATCH_TAGS

CHECKS = "23 * * * *"
RETENTION = "45 0 * * *"  # the last candles of the day, and those that came late, are there by then
HOUSEKEEPING = "15 1 * * *"  # after the tape's days are archived


def schedules(
    competition: Competition, checks: dg.JobDefinition, retention: dg.JobDefinition, housekeeping: dg.JobDefinition
) -> list[dg.ScheduleDefinition]:
    """On from the beginning where a competition is live; of a replay these jobs are launched by hand."""
    on = competition.settings.mode == "live" and competition.settings.sensors
    return [
        dg.ScheduleDefinition(
            name=f"{competition.schema}_{name}_schedule",
            job=job,
            cron_schedule=cron,
            execution_timezone="UTC",
            tags=BATCH_TAGS,
            default_status=dg.DefaultScheduleStatus.RUNNING if on else dg.DefaultScheduleStatus.STOPPED,
            description=f"Launches the job {job.name} {when} UTC.",
        )
        for name, job, cron, when in (
            ("checks", checks, CHECKS, "at 23 minutes past each hour"),
            ("retention", retention, RETENTION, "at 00:45"),
            ("housekeeping", housekeeping, HOUSEKEEPING, "at 01:15"),
        )
    ]
