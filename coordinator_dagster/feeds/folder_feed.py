"""What recorded tapes have in common, whatever their files look like: they have ended for good."""

import heapq
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from coordinator_dagster.clock import Clock
from coordinator_dagster.errors import UserError
from coordinator_dagster.feeds.base import MICROSECOND, Heard
from coordinator_dagster.feeds.fates import Fates
from slots.market import Kind, MarketRecord, Series


class FolderFeed:
    """The series found in a folder. `provider` restricts them to one's; without it the first by name serves.

    UserError when the folder holds nothing of `provider`.
    """

    name = "replay"
    fixed = True
    every_bar = True

    def __init__(self, directory: Path, found: Iterable[Series], provider: str | None, clock: Clock) -> None:
        self._directory, self._clock, self.fates, found = directory, clock, Fates(), sorted(found)
        if provider is not None and all(series.provider != provider for series in found):
            offered = ", ".join(sorted({series.provider for series in found})) or "no provider"
            raise UserError(f"FEED_TAPE_PROVIDER={provider}: {directory} holds {offered}; choose one that is there")
        chosen: dict[tuple[str, Kind, str], Series] = {}
        for series in found:
            if provider in (None, series.provider):
                chosen.setdefault((series.asset, series.kind, series.granularity), series)
        self._chosen = sorted(chosen.values())

    def series(self, asset: str, kind: Kind, granularity: str) -> Series:
        for series in self._chosen:
            if (series.asset, series.kind, series.granularity) == (asset, kind, granularity):
                return series
        raise self._absent(f"{asset}/{kind}/{granularity}")

    def fetch(self, series: Series, start: datetime, end: datetime) -> Iterator[MarketRecord]:
        raise NotImplementedError

    async def listen(self, since: Mapping[Series, datetime]) -> AsyncIterator[Heard]:
        """Each record as the clock passes its event end, to the end of the tape, in that order."""
        after, end = dict(since), datetime.max.replace(tzinfo=UTC)
        rest = [self.fetch(one, start - one.step + MICROSECOND, end) for one, start in since.items()]
        for record in heapq.merge(*rest, key=lambda record: (record.event_end, record.series)):
            await self._clock.sleep_until(record.event_end)
            yield Heard(record.series, after[record.series], record.event_end, [record])
            after[record.series] = record.event_end

    def _absent(self, wanted: str) -> UserError:
        offered = ", ".join(map(str, self._chosen))
        return UserError(f"{wanted} is not on the tape in {self._directory}; it holds {offered}")
