"""What the tests of the feed `pyth` share: its series, what the stand-in's tape makes of them, and made-up answers."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import groupby
from pathlib import Path
from typing import Any

import httpx

from coordinator_dagster.clock import FixedClock
from coordinator_dagster.feeds.pyth import PythFeed
from coordinator_dagster.feeds.pyth_records import moment
from slots.market import Series
from tests.feeds.stand_in import CLOSED, NOW, T0, recorded

CANDLES, TICKS = Series("pyth", "BTC", "candle", "1m"), Series("pyth", "BTC", "tick", "1s")
MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)
BTC = "0xE62df6c8b4a85fe1a67db44dc12de5db330f7ac66b72dc658afedf0f4a415b43"


def feed(url: str, **options: Any) -> PythFeed:
    return PythFeed(["BTC"], url, FixedClock(NOW), **{"patience": 5.0, **options})


def asked(url: str, path: str = "/v1/shims/tradingview/history") -> int:
    return int(httpx.get(f"{url}/_control/stats").json()["requests"].get(path, 0))


def bars(tape: Path, series: Series) -> list[dict[str, float]]:
    """What the tape has, put together to longer bars; Pyth knows no volume."""
    minutes = recorded(tape, T0, CLOSED)
    found = []
    for _, several in groupby(minutes, key=lambda one: (one.ts_event - T0) // series.step):
        parts = [one.values for one in several]
        highs, lows = [one["high"] for one in parts], [one["low"] for one in parts]
        found.append({"open": parts[0]["open"], "high": max(highs), "low": min(lows), "close": parts[-1]["close"]})
    return [{**one, "volume": 0.0} for one in found]


def prices(tape: Path, start: int, count: int) -> list[float]:
    """The last of the tape's prices at each of so many seconds: four a minute, at 0, 20, 40 and 59 s."""
    minutes = {one.ts_event: one.values for one in recorded(tape, T0, NOW + 60 * MINUTE)}
    moments = [moment(start + number) for number in range(count)]
    last = [(59, "close"), (40, "low"), (20, "high"), (0, "open")]
    names = [next(name for second, name in last if at.second >= second) for at in moments]
    return [minutes[at.replace(second=0)][name] for at, name in zip(moments, names, strict=True)]


@dataclass
class Canned:
    """A venue that answers what a test makes up; `keys` are the authorizations that came."""

    answer: Callable[[str], Any]
    url: str = ""
    keys: list[str | None] = field(default_factory=list)


@contextmanager
def canned(answer: Callable[[str], tuple[int, Any]]) -> Iterator[Canned]:
    venue = Canned(answer)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            venue.keys.append(self.headers["Authorization"])
            status, body = venue.answer(self.path)
            text = (body if isinstance(body, str) else json.dumps(body)).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: Any) -> None:
            """Silence."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    venue.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield venue
    finally:
        server.shutdown()
        server.server_close()


FEEDS = [{"id": BTC, "attributes": {"base": "BTC", "symbol": "Crypto.BTC/USD"}}]


def published(second: int, price: str = "100000000", **other: Any) -> dict[str, Any]:
    """An update as Hermes prints it, at 1 USD unless told otherwise."""
    inside = {"price": price, "conf": "50000", "expo": -8, "publish_time": second, **other}
    return {"id": BTC, "price": inside, "metadata": {"slot": second * 2, "prev_publish_time": second - 1}}


def hermes(updates: Callable[[int], dict[str, Any]]) -> Callable[[str], tuple[int, Any]]:
    """Answers of a Hermes whose first update at or after a second is what the function says."""

    def answer(path: str) -> tuple[int, Any]:
        if "price_feeds" in path:
            return 200, FEEDS
        asked = path.partition("?")[0].rpartition("/")[2]
        return 200, {"parsed": [updates(0 if asked == "latest" else int(asked))]}

    return answer
