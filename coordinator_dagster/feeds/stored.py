"""The tape that is in the schema already, and nothing else: a replay of a live competition asks no venue."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import datetime

from coordinator_dagster.errors import UserError
from coordinator_dagster.feeds.base import Heard, Offer
from coordinator_dagster.feeds.fates import Fates
from coordinator_dagster.store.tape import TapeTable
from slots.market import Kind, MarketRecord, Series


class StoredFeed:
    """Has the series of the tape, and never a record that is not on it."""

    name = "stored"
    fixed = True
    every_bar = True

    def __init__(self, tape: TapeTable) -> None:
        self._tape, self.fates = tape, Fates()

    def list_assets(self) -> Sequence[Offer]:
        return [Offer(one, last=self._tape.complete_through([one])) for one in self._tape.series()]

    def series(self, asset: str, kind: Kind, granularity: str) -> Series:
        known = self._tape.series()
        for one in known:
            if (one.asset, one.kind, one.granularity) == (asset, kind, granularity):
                return one
        raise UserError(
            f"FEED_PROVIDER=stored: {asset}/{kind}/{granularity} is not on the tape of this schema; it has "
            f"{', '.join(map(str, known)) or 'none'}; take one over by `coordinator replay --from-schema LIVE`"
        )

    def known_through(self, series: Series) -> datetime:
        through = self._tape.complete_through([series])
        if through is None:
            raise UserError(f"FEED_PROVIDER=stored: {series} is not complete from its beginning on")
        return through

    def fetch(self, series: Series, start: datetime, end: datetime) -> Iterator[MarketRecord]:
        return iter(())

    async def listen(self, since: Mapping[Series, datetime]) -> AsyncIterator[Heard]:
        nothing: Sequence[Heard] = ()
        for heard in nothing:
            yield heard
