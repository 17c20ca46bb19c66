"""A contest of hours and days over a tape of three months, replayed in a second or two."""

import json
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from coordinator_dagster.competition import Competition
from coordinator_dagster.packs import available_packs
from coordinator_dagster.replay import replay
from coordinator_dagster.runtime import Runtime

START, END, TAPE_END = (datetime(2026, *day, tzinfo=UTC) for day in ((1, 28), (2, 6), (3, 6)))
HOLE = datetime(2026, 1, 30, 11, tzinfo=UTC)  # the candle that the cycle at 12:00 needs
MODEL = """
from slots.tracker import TrackerBase

class Follower(TrackerBase):
    def tick(self, data):
        self.closes = [one["close"] for one in data["candles"]]

    def predict(self, asset, horizon, step):
        return {"value": self.closes[-1] / self.closes[0] - 1}
"""
CONFIGS = [
    {
        "id": "hourly",
        "scope_key": "BTC-1h",
        "scope_template": {"asset": "BTC", "horizon_seconds": 3600, "step_seconds": 3600},
        "schedule": {"every_seconds": 21600},
        "series": [{"asset": "BTC", "kind": "candle", "granularity": "1h"}],
    },
    {
        "id": "by-tick",
        "scope_key": "BTC-10m",
        "scope_template": {"asset": "BTC", "horizon_seconds": 600, "step_seconds": 600},
        "schedule": {"every_seconds": 43200},
        "series": [{"asset": "BTC", "kind": "tick", "granularity": "1s"}],
    },
]
Make = Callable[..., Competition]


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five weeks of hourly candles, and a trade every half hour or so, as CSV files."""
    folder, chance = tmp_path_factory.mktemp("recorded"), random.Random(7)
    first = START - timedelta(days=1)
    candles, price = ["ts_event,open,high,low,close,volume"], 30_000.0
    for hour in range((TAPE_END - first) // timedelta(hours=1)):
        close = price * (1 + chance.gauss(0, 0.003))
        span = max(price, close) * 1.001, min(price, close) / 1.001
        moment = first + timedelta(hours=hour)
        if moment == HOLE:
            continue
        candles.append(f"{moment.isoformat()},{price!r},{span[0]!r},{span[1]!r},{close!r},{chance.random()!r}")
        price = close
    ticks, moment = ["ts_event,price,quantity"], first
    while (moment := moment + timedelta(milliseconds=chance.randint(1, 3_600_000))) < TAPE_END:
        for _ in range(chance.choice((1, 1, 3))):
            ticks.append(f"{moment.isoformat()},{30_000 + 100 * chance.random()!r},{chance.random()!r}")
    (folder / "binance_BTC_candle_1h.csv").write_text("\n".join(candles) + "\n")
    (folder / "binance_BTC_tick.csv").write_text("\n".join(ticks) + "\n")
    return folder


@pytest.fixture
def slow(competition: Make, model_folder: Callable[[str, str], Path], recorded: Path, tmp_path: Path) -> Make:
    """Makes the contest: a window is a day. Over this tape, which ends on 6 March, January is old enough to go."""
    pack = json.loads(available_packs()["baseline"].read_text())
    pack["callables"] |= {"RAW_INPUT_PROVIDER": "tests.retention.slots:given"}
    pack |= {"id": "slow", "series": [CONFIGS[0]["series"][0], CONFIGS[1]["series"][0]], "min_cycles": 5}
    pack |= {"scheduled_prediction_configs": CONFIGS}
    (tmp_path / "slow.json").write_text(json.dumps(pack))
    models = model_folder("follower", MODEL)

    def make(suffix: str = "a", **settings: object) -> Competition:
        chosen = {
            "pack": "slow.json",
            "window": "day",
            "competition_start": START.isoformat(),
            "competition_end": END.isoformat(),
            "feed_provider": "replay",
            "feed_tape_dir": recorded,
            "feed_candles_window": 5,
            "market_record_ttl_days": 5,
            "models_dir": models,
        }
        return competition(suffix, **{**chosen, **settings})

    return make


def replay_all(runtime: Runtime) -> None:
    """Every window of the contest."""
    competition = runtime.competition
    assert competition.closing
    replay(runtime, competition.windows.between(START, competition.closing), lambda done: None)
