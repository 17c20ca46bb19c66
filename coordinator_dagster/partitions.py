"""A competition's windows as Dagster partitions, and how one asset's windows need another's."""

import math
from datetime import timedelta

import dagster as dg

from coordinator_dagster.competition import Competition
from coordinator_dagster.windows import Window


def window_partitions(competition: Competition, ahead: int = 0) -> dg.TimeWindowPartitionsDefinition:
    """Hours (or days) from the competition's start; where it has an end, to the one that counts the last truths.

    `ahead` adds windows that are not over: 1 the open one, 2 the next as well.
    """
    kind = dg.DailyPartitionsDefinition if competition.settings.window == "day" else dg.HourlyPartitionsDefinition
    return kind(start_date=competition.start, end_date=competition.closing, timezone="UTC", end_offset=ahead)


def day_partitions(competition: Competition) -> dg.DailyPartitionsDefinition:
    """The UTC days that the competition's windows are in."""
    days, end = competition.days, competition.closing
    last = days.resolving(end).end if end else None
    return dg.DailyPartitionsDefinition(start_date=days.start, end_date=last, timezone="UTC")


def reaching(
    competition: Competition,
    back: timedelta = timedelta(0),
    ahead: timedelta = timedelta(0),
) -> dg.TimeWindowPartitionMapping:
    """A window needs the windows within `back` before it and `ahead` after it, as far as there are any."""
    length = competition.windows.length
    return dg.TimeWindowPartitionMapping(
        start_offset=-math.ceil(back / length),
        end_offset=math.ceil(ahead / length),
        allow_nonexistent_upstream_partitions=True,
    )


def windows_of(context: dg.AssetExecutionContext, competition: Competition) -> list[Window]:
    """The windows this run materializes, in order."""
    return sorted(competition.windows.of_key(key) for key in context.partition_keys)
