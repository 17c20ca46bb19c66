"""Prices from Hermes by REST: which feeds there are, the latest update, and the first at or after a time."""

from collections.abc import Iterator, Mapping
from typing import Any

from coordinator_dagster.clock import Clock
from coordinator_dagster.feeds.base import AGREEING_ANSWERS, FeedError
from coordinator_dagster.feeds.fates import Fates
from coordinator_dagster.feeds.pyth_records import Update, moment, price_update, same_id
from coordinator_dagster.feeds.pyth_rest import PythRest
from slots.market import Series

QUOTE = "USD"
LOOK_AHEAD = 3600  # seconds: no further ahead of the time asked an update is surely found


class PythPrices:
    """Updates of `Crypto.ASSET/USD` at `url` (https://hermes.pyth.network). A tick is the first of its second.

    Every method may raise FeedError. Source: Hermes' OpenAPI description and its code, pyth-crosschain on GitHub.
    """

    def __init__(self, rest: PythRest, url: str, clock: Clock, fates: Fates) -> None:
        self.rest, self.url, self._clock, self._fates = rest, f"{url}/v2/updates/price", clock, fates
        self._feeds_url = f"{url}/v2/price_feeds"
        self._ids: Mapping[str, str] = {}

    def ids(self) -> Mapping[str, str]:
        """The id of every asset on offer."""

        def read(answer: Any) -> dict[str, str]:
            named = [(one["id"], one["attributes"]) for one in answer]
            return {
                attributes["base"]: same_id(number)
                for number, attributes in named
                if attributes["symbol"] == f"Crypto.{attributes['base']}/{QUOTE}"
            }

        self._ids = self.rest.ask(self._feeds_url, read, asset_type="crypto")
        return self._ids

    def feed_id(self, series: Series) -> str:
        """Asked for once."""
        if series.asset not in self._ids and series.asset not in self.ids():
            raise FeedError(f"{series}: {self._feeds_url} has no Crypto.{series.asset}/{QUOTE}; see `coordinator feed`")
        return self._ids[series.asset]

    def latest(self, series: Series) -> Update:
        """The newest update, which need not be the first of its second."""
        return self._ask(series, "latest", lambda answer: self._only(series, answer))

    def first(self, series: Series, second: int, known: int | None = None) -> Update | None:
        """The first update at or after that second, None when there is none; `known`: there is one in that second."""

        def read(answer: Any) -> Update | None:
            update = None if answer is None else self._only(series, answer)
            wrong = known is not None if update is None else not second <= update.second <= (known or update.second)
            if wrong:
                raise ValueError(
                    f"{series}: the first update at or after {moment(second).isoformat()}"
                    f"{f', while there is one at {moment(known).isoformat()}' if known else ''}: "
                    f"the answer is {update.record.ts_event.isoformat() if update else 'none'}"
                )
            return update

        return self._ask(series, str(second), read)

    def updates(self, series: Series, start: int, end: int, known: int | None = None) -> Iterator[Update]:
        """The first update of each second in [start, end), a request each; `known`: as for `first`.

        An answer that there is nothing more is believed when it has come three times.
        """
        empty = 0
        while start < end:
            update = self.first(series, start, known)
            if update is None:
                empty = (empty + 1) % AGREEING_ANSWERS
                start += 0 if empty else LOOK_AHEAD
                continue
            if update.second >= end:
                return
            yield update
            start, empty = update.second + 1, 0

    def _ask(self, series: Series, what: str, read: Any) -> Any:
        return self.rest.ask(f"{self.url}/{what}", read, **{"ids[]": self.feed_id(series)})

    def _only(self, series: Series, answer: Any) -> Update:
        """The update of the one feed that was asked for; it may be there twice, but not two of it."""
        own = [one for one in answer["parsed"] if same_id(one["id"]) == self.feed_id(series)]
        updates = [price_update(series, one, self._clock.now()) for one in own]
        if not updates or any(one != updates[0] for one in updates):
            raise ValueError(f"{series}: an answer with {len(updates)} updates, and not one")
        self._fates.note(series, "duplicate", f"{updates[0].record.ts_event} twice in one answer", len(updates) - 1)
        return updates[0]
