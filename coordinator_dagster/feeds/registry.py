"""Which feeds there are, and how one is built out of the settings."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from pydantic import SecretStr

from coordinator_dagster.clock import Clock
from coordinator_dagster.errors import UserError
from coordinator_dagster.faults import nearest
from coordinator_dagster.feeds.base import Feed
from coordinator_dagster.feeds.binance import BinanceFeed
from coordinator_dagster.feeds.none import NoFeed
from coordinator_dagster.feeds.pyth import PythFeed
from coordinator_dagster.feeds.recorded import open_recorded
from coordinator_dagster.feeds.simulated import SimulatedFeed

BINANCE_URL = "https://api.binance.com"
BINANCE_STREAM_URL = "wss://stream.binance.com:9443"
PYTH_URL = "https://hermes.pyth.network"
PYTH_HISTORY_URL = "https://benchmarks.pyth.network"


class FeedSettings(Protocol):
    """What a feed is built from: the settings `FEED_*`, read only."""

    @property
    def feed_provider(self) -> str: ...
    @property
    def feed_assets(self) -> Sequence[str]: ...
    @property
    def feed_base_url(self) -> str | None: ...
    @property
    def feed_stream_url(self) -> str | None: ...
    @property
    def feed_history_url(self) -> str | None: ...
    @property
    def feed_api_key(self) -> SecretStr | None: ...
    @property
    def feed_quote(self) -> str: ...
    @property
    def feed_flush_seconds(self) -> float: ...
    @property
    def feed_patience_seconds(self) -> float: ...
    @property
    def feed_seed(self) -> int: ...
    @property
    def feed_tape_dir(self) -> Path | None: ...
    @property
    def feed_tape_provider(self) -> str | None: ...


def _replay(settings: FeedSettings, clock: Clock) -> Feed:
    if settings.feed_tape_dir is None:
        raise UserError("FEED_TAPE_DIR is not set; FEED_PROVIDER=replay needs the folder of recorded CSV files")
    return open_recorded(settings.feed_tape_dir, settings.feed_tape_provider, clock)


def _simulated(settings: FeedSettings, clock: Clock) -> Feed:
    return SimulatedFeed(_assets(settings), settings.feed_seed, clock)


def _binance(settings: FeedSettings, clock: Clock) -> Feed:
    base_url, stream_url = settings.feed_base_url, settings.feed_stream_url
    if base_url is None:
        base_url, stream_url = BINANCE_URL, stream_url or BINANCE_STREAM_URL
    flush = timedelta(seconds=settings.feed_flush_seconds)
    return BinanceFeed(
        _assets(settings),
        base_url,
        clock,
        settings.feed_quote,
        stream_url=stream_url,
        patience=settings.feed_patience_seconds,
        flush=flush,
    )


def _pyth(settings: FeedSettings, clock: Clock) -> Feed:
    base_url, history_url = settings.feed_base_url, settings.feed_history_url
    if base_url is None:
        base_url, history_url = PYTH_URL, history_url or PYTH_HISTORY_URL
    flush, key = timedelta(seconds=settings.feed_flush_seconds), settings.feed_api_key
    return PythFeed(
        _assets(settings),
        base_url,
        clock,
        history_url=history_url,
        api_key=key,
        patience=settings.feed_patience_seconds,
        flush=flush,
    )


def _none(settings: FeedSettings, clock: Clock) -> Feed:
    return NoFeed(clock)


FEEDS: Mapping[str, Callable[[FeedSettings, Clock], Feed]] = {
    "replay": _replay,
    "simulated": _simulated,
    "binance": _binance,
    "pyth": _pyth,
    "none": _none,
}


def create_from_env(settings: FeedSettings, clock: Clock) -> Feed:
    """The feed that the settings `FEED_*` describe; raises UserError for an unknown one and for what it lacks."""
    name = settings.feed_provider
    if name not in FEEDS:
        hint = nearest(name.lower(), FEEDS)
        raise UserError(f"FEED_PROVIDER={name} is not a feed; there are {', '.join(FEEDS)}{hint}")
    return FEEDS[name](settings, clock)


def _assets(settings: FeedSettings) -> Sequence[str]:
    if not settings.feed_assets:
        raise UserError(f"FEED_ASSETS is empty; FEED_PROVIDER={settings.feed_provider} needs it, such as BTC,ETH")
    return settings.feed_assets
