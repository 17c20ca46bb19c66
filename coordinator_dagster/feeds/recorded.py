"""A folder of market data as a feed, whichever way it was recorded."""

from pathlib import Path

from coordinator_dagster.clock import Clock
from coordinator_dagster.feeds.archive_feed import ArchiveFeed, is_archive
from coordinator_dagster.feeds.base import Feed
from coordinator_dagster.feeds.replay import ReplayFeed


def open_recorded(directory: Path, provider: str | None, clock: Clock) -> Feed:
    """The days of an archive, or else the CSV files; UserError when the folder holds nothing of `provider`."""
    return (ArchiveFeed if is_archive(directory) else ReplayFeed)(directory, provider, clock)
