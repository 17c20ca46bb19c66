"""An archived tape, played as a feed: the records bit for bit, with the moments at which they were known."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from coordinator_dagster.clock import Clock
from coordinator_dagster.errors import UserError, UserErrors
from coordinator_dagster.feeds.archive_files import BadFile, DayFile, check, day_file, read_ends, read_records
from coordinator_dagster.feeds.base import Offer
from coordinator_dagster.feeds.folder_feed import FolderFeed
from slots.market import MarketRecord, Series


def is_archive(directory: Path) -> bool:
    """Whether the folder holds days of an archive."""
    return directory.is_dir() and any(directory.glob("day=*/"))


class ArchiveFeed(FolderFeed):
    """The files that `tape_archive` wrote, read a day at a time. Raises UserError where there are none."""

    def __init__(self, directory: Path, provider: str | None, clock: Clock) -> None:
        self._days: dict[Series, list[DayFile]] = {}
        self._faults: list[str] = []
        self._through: dict[Series, datetime] = {}
        for path in sorted(directory.rglob("*.parquet")):
            relative = path.relative_to(directory).as_posix()
            if file := day_file(relative):
                self._days.setdefault(file.series, []).append(file)
            else:
                wanted = "day=2023-03-24/asset=BTC/kind=candle/binance-1m.parquet"
                self._faults.append(f"{path}: it does not stand in the archive like {wanted}; move it away")
        if not self._days and not self._faults:
            raise UserError(f"FEED_TAPE_DIR: {directory} has folders of days, and no Parquet file in them")
        super().__init__(directory, self._days, provider, clock)

    def list_assets(self) -> Sequence[Offer]:
        """Every series with its first `ts_event` and through when it is known; UserErrors naming every bad file."""
        offers, faults = [], list(self._faults)
        for series in self._chosen:
            ends = []
            for file in self._days[series]:
                try:
                    ends.append(read_ends(self._directory, file))
                except BadFile as fault:
                    faults.append(str(fault))
            if ends:
                offers.append(Offer(series, ends[0][0], ends[-1][1]))
        if faults:
            raise UserErrors(faults)
        return offers

    def known_through(self, series: Series) -> datetime:
        """Through when the series was complete on its last day, or the event end of its last record."""
        if series not in self._through:
            self._through[series] = read_ends(self._directory, self._files_of(series)[-1])[1]
        return self._through[series]

    def fetch(self, series: Series, start: datetime, end: datetime) -> Iterator[MarketRecord]:
        """UserErrors at the first file that is not right, naming all that are not."""
        for file in self._files_of(series):
            if file.start < end and file.end > start:
                try:
                    yield from read_records(self._directory, file, start, end)
                except BadFile as fault:
                    raise UserErrors([str(fault), *self._others(file)]) from None

    def _files_of(self, series: Series) -> list[DayFile]:
        """The series' days in order; UserError when it is not there."""
        if series not in self._chosen:
            raise self._absent(str(series))
        return self._days[series]

    def _others(self, known: DayFile) -> list[str]:
        """What is wrong with the other files."""
        faults = list(self._faults)
        for file in (one for series in self._chosen for one in self._days[series] if one != known):
            try:
                check(self._directory, file)
            except BadFile as fault:
                faults.append(str(fault))
        return faults
