"""Forecasts per second of a participant's backtest, beside the bare calls to the same models in the same process.

    make bench NAME=backtest ARGS="--hours 168"

The three example models, baseline, on the simulated market. The ratio is the share of the time that the models'
own calls are: the rest is the engine's.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

from coordinator_dagster.backtest.backtest import backtest
from coordinator_dagster.backtest.of_contest import open_tape
from coordinator_dagster.backtest.own_models import OwnModels
from coordinator_dagster.backtest.result import Backtest
from coordinator_dagster.competition import Competition
from coordinator_dagster.contest import Contest
from coordinator_dagster.runners.base import Call
from coordinator_dagster.windows import Window
from slots.market import utc

PROJECT = Path(__file__).parents[1]
MODELS = PROJECT / "examples" / "models"
START = "2026-01-05T00:00Z"
INPUT_CANDLES = 120


def run(arguments: list[str]) -> dict[str, Any]:
    parser = argparse.ArgumentParser(prog="make bench NAME=backtest")
    parser.add_argument("--hours", type=int, default=168)
    hours = parser.parse_args(arguments).hours
    made = competition()
    windows = made.windows.between(made.start, made.start + hours * made.windows.length)
    began = time.monotonic()
    found = engine(made, windows)
    seconds = time.monotonic() - began
    floor = bare_calls(made, len(found.forecasts) // 3)
    return {
        "name": "backtest",
        "value": len(found.forecasts) / seconds,
        "unit": "forecasts/s",
        "floor": len(found.forecasts) / floor,
        "ratio": floor / seconds,
        "detail": {"forecasts": len(found.forecasts), "seconds": seconds, "days a minute": hours / 24 / seconds * 60},
    }


def competition() -> Competition:
    rules = json.loads((PROJECT / "packs" / "baseline.json").read_text())
    slots = rules.pop("callables")
    contest = Contest(
        name="bench",
        start=START,
        base_class="slots.tracker.TrackerBase",
        report_url=None,
        settings={},
        slots=slots,
        rules=rules,
    )
    return contest.competition(PROJECT)


def engine(made: Competition, windows: list[Window]) -> Backtest:
    return backtest(made, MODELS, open_tape(made, "simulated", windows[-1].end), windows)


def bare_calls(made: Competition, instants: int) -> float:
    """Seconds that so many instants take: the input as JSON to each model, then one forecast."""
    runner = OwnModels(MODELS, made.settings.model_base_classname)
    candle = {"ts": int(utc(START).timestamp()), "open": 1.0, "high": 1.0, "low": 1.0, "close": 30_000.5, "volume": 1.0}
    tick = json.dumps({"symbol": "BTC", "asof_ts": candle["ts"], "candles_1m": [candle] * INPUT_CANDLES}).encode()
    began = time.monotonic()
    for _ in range(instants):
        runner.ask(tick, [Call(["BTC", 60, 60])], 60)
    return time.monotonic() - began
