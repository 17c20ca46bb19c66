"""The tests' own models, feed and reckoning: answers by script, a feed that fails on order, prices by hand."""

from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from coordinator_dagster.clock import Clock, FixedClock
from coordinator_dagster.competition import Competition
from coordinator_dagster.feeds.base import FeedError, Heard, Offer
from coordinator_dagster.feeds.simulated import SimulatedFeed
from coordinator_dagster.runners.base import Answer, Call, ModelInfo
from coordinator_dagster.runtime import Runtime, open_runtime
from coordinator_dagster.windows import Window
from slots.market import Kind, MarketRecord, Series

START = datetime(2026, 1, 5, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
ODD_SLOTS = "tests.original_faults.odd_slots"
Script = Callable[[datetime], Answer | None]


def said(value: Any, elapsed: float = 0.01, **more: Any) -> Answer:
    """A model's answer that came `elapsed` seconds after it was asked."""
    return Answer("SUCCESS", elapsed, {"value": value, **more}, 1.0)


def always(value: float) -> Script:
    return lambda t: said(value)


@dataclass
class ScriptedRunner:
    """Models without processes: a script gives the answer at an instant, None where the model is not there."""

    scripts: dict[str, Script]
    dispatch_seconds = 0.0

    def models(self) -> Sequence[ModelInfo]:
        return [ModelInfo(name, name, "1", name, name) for name in sorted(self.scripts)]

    def fresh(self, wait: bool = True) -> None:
        pass

    def ask(
        self, tick: bytes, calls: Sequence[Call], timeout: float, skip: Collection[str] = ()
    ) -> dict[str, list[Answer]]:
        t = datetime.fromtimestamp(orjson.loads(tick)["asof_ts"], UTC)
        answers = {name: self.scripts[name](t) for name in sorted(self.scripts) if name not in skip}
        return {name: [one] * len(calls) for name, one in answers.items() if one}

    def close(self) -> None:
        pass


@dataclass
class FailingFeed:
    """The simulated market by a clock of ours: `down` it answers nothing, and it withholds what it is told to."""

    clock: Clock
    down: bool = False
    withheld: list[tuple[datetime, datetime]] = field(default_factory=list)
    name = "simulated"
    fixed = False
    every_bar = True

    def __post_init__(self) -> None:
        self._feed = SimulatedFeed(["BTC"], 1, self.clock)
        self.fates = self._feed.fates

    def list_assets(self) -> Sequence[Offer]:
        return self._feed.list_assets()

    def series(self, asset: str, kind: Kind, granularity: str) -> Series:
        return self._feed.series(asset, kind, granularity)

    def known_through(self, series: Series) -> datetime:
        self._answer(series)
        return self._feed.known_through(series)

    def fetch(self, series: Series, start: datetime, end: datetime) -> Iterator[MarketRecord]:
        self._answer(series)
        for record in self._feed.fetch(series, start, end):
            if not any(first <= record.ts_event < last for first, last in self.withheld):
                yield record

    def listen(self, since: Mapping[Series, datetime]) -> AsyncIterator[Heard]:
        return self._feed.listen(since)

    def _answer(self, series: Series) -> None:
        if self.down:
            raise FeedError(f"{series}: the venue does not answer")


@contextmanager
def opened(competition: Competition, scripts: dict[str, Script] | None = None, **parts: Any) -> Iterator[Runtime]:
    """The runtime with models by script, and with `feed` and `clock` where they are given."""
    with open_runtime(competition) as runtime:
        runtime.__dict__.update(parts)
        if scripts is not None:
            runtime.__dict__["runner"] = ScriptedRunner(scripts)
        yield runtime


def windows_of(competition: Competition) -> list[Window]:
    return competition.windows.between(competition.start, competition.settings.competition_end)


def perform(runtime: Runtime, windows: Sequence[Window]) -> None:
    """Everything up to the forecasts."""
    runtime.ingest(windows)
    runtime.build_inputs(windows)
    runtime.predict(windows)


def settle(runtime: Runtime, windows: Sequence[Window]) -> None:
    """Everything after the forecasts."""
    runtime.resolve(windows)
    runtime.score(windows)
    runtime.aggregate(windows)
    runtime.rank(windows)


def rows(runtime: Runtime, sql: str, **parameters: Any) -> list[dict[str, Any]]:
    return [dict(row._mapping) for row in runtime.store.database.read(sql, **parameters)]


def newest_board(runtime: Runtime) -> dict[str, dict[str, Any]]:
    """The shown board's entries by model, each with its metrics beside its rank."""
    board = runtime.store.boards.latest_leaderboard()
    return {one["model_id"]: one | one["score"]["metrics"] for one in board.entries_jsonb}


def market(start: datetime = START, end: datetime = START + 24 * HOUR) -> dict[datetime, float]:
    """The price at each full minute, by the candles that close then; straight from the feed."""
    feed = SimulatedFeed(["BTC"], 1, FixedClock(end))
    candles = feed.fetch(feed.series("BTC", "candle", "1m"), start - MINUTE, end)
    return {one.event_end: one.values["close"] for one in candles}


def true_score(prices: dict[datetime, float], t: datetime, horizon: timedelta, value: float) -> float:
    """What the default scorer should give, by hand."""
    return -abs(value - (prices[t + horizon] / prices[t] - 1)) * 10_000
