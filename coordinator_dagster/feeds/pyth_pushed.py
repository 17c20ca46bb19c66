"""What Hermes pushes of one series, linked into pieces that follow on one another."""

import asyncio
import logging
import time
from collections.abc import Sequence
from datetime import datetime

from coordinator_dagster.feeds.base import AGREEING_ANSWERS, Heard
from coordinator_dagster.feeds.fates import Fates
from coordinator_dagster.feeds.pyth_records import EPOCH, SECOND, Update, moment
from slots.market import MarketRecord, Series

REMEMBERED = 3600  # seconds: what is pushed later than that is passed over
log = logging.getLogger(__name__)


class PushedPrices:
    """A series of ticks from `after` on. The first update of a second counts; the others of it are passed over.

    `second`: complete through it. An update is final when nothing can be missing before it: it names the second of
    the one before. So neither a broken line nor another order makes a hole, whatever connection brought it.
    `newest`: the newest update known to exist. `late`: seconds that had been complete when an update of them came.
    """

    def __init__(self, series: Series, after: datetime, fates: Fates) -> None:
        self.series, self.after, self._fates = series, after, fates
        self.second = self._start = (after - EPOCH) // SECOND
        self.newest = self._behind = 0
        self.late: list[int] = []
        self._given: dict[int, float] = {}
        self._waiting: dict[int, Update] = {}
        # Real seconds: when there was news, and since when something has waited for what should be before it
        self.news_at = self.unlinked_since = float("-inf")
        self.changed = asyncio.Event()

    def take(self, update: Update) -> None:
        second, price = update.second, update.record.price
        waiting = self._waiting.get(second)
        if (waiting.record.price if waiting else self._given.get(second)) == price:
            self._fates.note(self.series, "duplicate", f"{update.record.ts_event} was pushed twice, or fetched before")
        elif second in self._given:
            return
        elif second <= self.second:
            if second > max(self._start, self.second - REMEMBERED):
                log.warning("%s: %s came when that time was complete", self.series, update.record.ts_event)
                self.late.append(second)
                self._given[second] = price
                self.changed.set()
        elif not waiting or update.previous < waiting.previous:
            if self._waiting and second < max(self._waiting):
                self._fates.note(self.series, "disordered", f"{update.record.ts_event} came after a later one")
            if not self._waiting:
                self.unlinked_since = time.monotonic()
            self._waiting[second] = update
            self.newest, self._behind = max(self.newest, second), 0
            self.news_at = time.monotonic()
            self.changed.set()

    def cut(self, now: datetime) -> Heard | None:
        """What is linked to what has been given, and over by our own clock too."""
        through, records = self.second, []
        for second, update in sorted(self._waiting.items()):
            if update.record.ts_event > now or update.previous > through:
                break
            records.append(update.record)
            through = second
        return self.move(through, records) if records else None

    @property
    def unlinked(self) -> int | None:
        """The oldest update known to exist after all that was given, before which others may be."""
        first = min(self._waiting, default=self.newest)
        return first if first > self.second else None

    def quiet(self, newest: int, final: int) -> Heard | None:
        """The venue says that its newest update is that; is it one that we have, nothing is missing through `final`.

        One older than what we have, of a server that is behind, has to be said three times in a row.
        """
        self._behind = self._behind + 1 if newest < self.newest else 0
        self.newest = max(self.newest, newest)
        believed = self.newest <= self.second < final and self._behind in (0, AGREEING_ANSWERS)
        self._behind = min(self._behind, AGREEING_ANSWERS - 1)
        return self.move(final, []) if believed else None

    def move(self, through: int, records: Sequence[MarketRecord]) -> Heard:
        """All there is in `(second, through]` is given now."""
        heard = Heard(self.series, self.after, moment(through), records)
        self.after, self.second = heard.through, through
        self._waiting = {second: one for second, one in self._waiting.items() if second > through}
        given = {(one.ts_event - EPOCH) // SECOND: one.price for one in records}
        self.newest = max([self.newest, *given])
        kept = {second: price for second, price in self._given.items() if second > through - REMEMBERED}
        self._given = kept | given
        return heard
