"""Settle everything again, from the stored facts, and compare: rules 4, 8 and 14."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from coordinator_dagster.audit.queries import END
from coordinator_dagster.errors import UserError
from coordinator_dagster.feeds.base import Feed
from coordinator_dagster.runtime import Runtime
from coordinator_dagster.store.scratch import Difference, differences, scratch_schema
from coordinator_dagster.store.store import Store
from coordinator_dagster.windows import WINDOWS_AT_ONCE, Window, stretches
from slots.market import Kind, MarketRecord, Series
from slots.tape import EPOCH


@dataclass(frozen=True)
class SettledFeed:
    """A feed of which nothing is asked any more: only what is on the tape counts."""

    feed: Feed

    @property
    def fixed(self) -> bool:
        return self.feed.fixed

    def series(self, asset: str, kind: Kind, granularity: str) -> Series:
        return self.feed.series(asset, kind, granularity)

    def known_through(self, series: Series) -> datetime:
        return EPOCH

    def fetch(self, series: Series, start: datetime, end: datetime) -> Iterator[MarketRecord]:
        raise AssertionError("settling again must not fetch")


def resettle(runtime: Runtime, progress: Callable[[int], None]) -> list[Difference]:
    """What differs when every ended cycle is settled again in a scratch schema; empty: rules 4, 8, 14 hold.

    The stored tables are only read. UserError when nothing is settled in the present version of the slots.
    """
    competition, store = runtime.competition, runtime.store
    versions = competition.truth_version(), competition.score_version()
    windows, boards = settled_windows(runtime), set(_boards(runtime))
    with scratch_schema(store.database, versions[0]) as database:
        again = Runtime(competition, Store(database))
        again.__dict__.update(feed=SettledFeed(runtime.feed), clock=runtime.clock)
        for some in stretches(windows, WINDOWS_AT_ONCE):
            again.resolve(some)
            again.score(some)
            if made := [window for window in some if window.start in boards]:
                again.aggregate(made)
                again.rank(made)
            progress(len(some))
        return differences(store.database, database, versions)


def settled_windows(runtime: Runtime) -> list[Window]:
    """Every window from the competition's start to the last board; UserError when there is none."""
    if not (boards := _boards(runtime)):
        raise UserError("nothing is settled in the present version of the slots; settle a window first")
    grid = runtime.competition.windows
    return grid.between(runtime.competition.start, grid.at(boards[-1]).end)


def _boards(runtime: Runtime) -> list[datetime]:
    return runtime.store.boards.scored_windows(EPOCH, END, runtime.competition.score_version())
