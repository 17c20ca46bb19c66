"""A feed out of the settings."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydantic import SecretStr

from coordinator_dagster.clock import FixedClock
from coordinator_dagster.errors import UserError
from coordinator_dagster.feeds.binance import BinanceFeed
from coordinator_dagster.feeds.registry import FEEDS, create_from_env
from slots.market import utc

CLOCK = FixedClock(utc("2026-01-01T00:00Z"))


@dataclass
class Settings:
    feed_provider: str = "simulated"
    feed_assets: list[str] = field(default_factory=lambda: ["BTC"])
    feed_base_url: str | None = None
    feed_stream_url: str | None = None
    feed_history_url: str | None = None
    feed_api_key: SecretStr | None = None
    feed_quote: str = "USDT"
    feed_flush_seconds: float = 0.25
    feed_patience_seconds: float = 1
    feed_seed: int = 1
    feed_tape_dir: Path | None = None
    feed_tape_provider: str | None = None


def test_every_feed_is_built_under_its_own_name(tmp_path: Path) -> None:
    (tmp_path / "kraken_BTC_tick.csv").write_text("ts_event,price,quantity\n2023-03-01T00:00:00Z,1,1\n")
    for name in FEEDS:
        feed = create_from_env(Settings(name, feed_tape_dir=tmp_path, feed_tape_provider="kraken"), CLOCK)
        assert feed.name == name
        assert feed.fixed == (name == "replay")


def test_the_base_url_is_binance_unless_it_is_set() -> None:
    for given, used in ((None, "https://api.binance.com"), ("http://127.0.0.1:9/", "http://127.0.0.1:9")):
        feed = create_from_env(Settings("binance", feed_base_url=given), CLOCK)
        assert isinstance(feed, BinanceFeed)
        assert feed.url == used


def test_the_websockets_are_where_the_base_url_is_unless_they_are_set() -> None:
    own, other = "wss://stream.binance.com:9443", "ws://127.0.0.1:8"
    for base, given, used in (
        (None, None, own),
        ("https://127.0.0.1:9/", None, "wss://127.0.0.1:9"),
        ("http://127.0.0.1:9", other, other),
        (None, other + "/", other),
    ):
        feed = create_from_env(Settings("binance", feed_base_url=base, feed_stream_url=given), CLOCK)
        assert isinstance(feed, BinanceFeed)
        assert feed.stream_url == used


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (Settings("Binanse"), r"FEED_PROVIDER=Binanse .* binance, pyth, none \(did you mean binance\?\)"),
        (Settings("qqq"), r"FEED_PROVIDER=qqq is not a feed; there are replay, simulated, binance, pyth, none$"),
        (Settings("replay"), r"FEED_TAPE_DIR is not set"),
        (Settings("simulated", []), r"FEED_ASSETS is empty; FEED_PROVIDER=simulated"),
        (Settings("binance", feed_base_url="api.binance.com"), r"FEED_BASE_URL=api.binance.com is not a URL"),
        (Settings("binance", feed_stream_url="https://a.b"), r"FEED_STREAM_URL=https://a.b is not one of websockets"),
    ],
)
def test_a_fault_names_the_setting(settings: Settings, message: str) -> None:
    with pytest.raises(UserError, match=message):
        create_from_env(settings, CLOCK)
