"""Predictions per second of a whole replay, beside the bare calls to the models and bare COPY of the same rows.

    make bench NAME=replay ARGS="--hours 480 --models 10"

`--tape DIR` (default COORDINATOR_TEST_TAPE) runs on set A from `--from`; without a tape on the simulated feed.
`--hours 0` takes the whole tape. `--models N` runs so many, the example models in turn. `--horizons N` asks each for
so many forecasts at an instant: over 1, 2, ... minutes. `--workers N` is as in `coordinator replay`.
"""

import argparse
import io
import json
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import text

from coordinator_dagster.competition import read_competition
from coordinator_dagster.replay import ReplayReport, replay
from coordinator_dagster.replay_workers import default_workers, started
from coordinator_dagster.runners.base import Call
from coordinator_dagster.runtime import Runtime, open_runtime
from coordinator_dagster.store.embedded import stop_embedded
from coordinator_dagster.windows import Window
from slots.market import utc

MODELS = Path(__file__).parents[1] / "examples" / "models"
PACK = Path(__file__).parents[1] / "packs" / "baseline.json"
TABLES = (
    "market_records",
    "inference_inputs",
    "cycles",
    "forecasts",
    "ground_truths",
    "scores",
    "score_rollups",
    "model_scores",
    "leaderboards",
)
GOAL = 0.6


def run(arguments: list[str]) -> dict[str, Any]:
    options = parse(arguments)
    home = Path(tempfile.mkdtemp(prefix="bench-replay-"))
    try:
        configure(options, home)
        with open_runtime(read_competition(home)) as runtime:
            runtime.store.database.read("select 1")
            start = runtime.competition.start
            end = start + timedelta(hours=options.hours) if options.hours else runtime.clock.now()
            windows = runtime.competition.windows.between(start, end)
            began = time.monotonic()
            workers = options.workers or default_workers(runtime.competition, len(windows))
            report = replay(runtime, windows, lambda done: None, workers)
            seconds = time.monotonic() - began
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            calls, copied, rows = bare_calls(runtime, windows, options.horizons, workers), *bare_copy(runtime)
    finally:
        drop(home)
    return result(options, report, workers, seconds, peak, calls, copied, rows)


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench NAME=replay")
    parser.add_argument("--tape", default=os.environ.get("COORDINATOR_TEST_TAPE"))
    parser.add_argument("--from", dest="start", default="2023-03-16T22:00Z")
    parser.add_argument("--hours", type=int, default=480)
    parser.add_argument("--models", type=int, default=10)
    parser.add_argument("--horizons", type=int, default=1)
    parser.add_argument("--workers", type=int, default=0)
    return parser.parse_args(arguments)


def configure(options: argparse.Namespace, home: Path) -> None:
    examples = sorted(MODELS.iterdir())
    for number in range(options.models):
        model = examples[number % len(examples)]
        shutil.copytree(model, home / "models" / f"{model.name}_{number}")
    (home / "pack.json").write_text(json.dumps(pack_of(options.horizons)))
    feed = {"FEED_PROVIDER": "replay", "FEED_TAPE_DIR": options.tape} if options.tape else {}
    database = os.environ.get("COORDINATOR_TEST_DATABASE_URL")
    os.environ.update(
        {
            "COMPETITION": f"bench-{os.getpid()}",
            "COMPETITION_START": options.start,
            "MODELS_DIR": str(home / "models"),
            "PACK": str(home / "pack.json"),
            **feed,
            **({"DATABASE_URL": database} if database else {}),
        }
    )
    utc(options.start)


def pack_of(horizons: int) -> dict[str, Any]:
    """The baseline pack with so many configs."""
    pack: dict[str, Any] = json.loads(PACK.read_text())
    (config,) = pack["scheduled_prediction_configs"]
    pack["scheduled_prediction_configs"] = [
        {
            **config,
            "id": f"btc-{seconds}s",
            "scope_key": f"BTC-{seconds}s",
            "scope_template": {**config["scope_template"], "horizon_seconds": seconds},
        }
        for seconds in seconds_of(horizons)
    ]
    return pack


def seconds_of(horizons: int) -> Sequence[int]:
    return range(60, 60 * horizons + 1, 60)


def bare_calls(runtime: Runtime, windows: list[Window], horizons: int, workers: int) -> float:
    """Seconds for the same calls alone, by as many workers: fresh models a window, one message an instant."""
    work = partial(calls_of, [Call(["BTC", seconds, 60]) for seconds in seconds_of(horizons)])
    if workers == 1:
        return work(runtime, windows)
    with started(runtime, workers) as pool:
        return sum(one.result() for one in pool.do(work, windows)) / workers


def calls_of(calls: Sequence[Call], runtime: Runtime, windows: Sequence[Window]) -> float:
    """Seconds for the calls of these windows; their inputs are read before."""
    seconds = 0.0
    for window in windows:
        inputs = list(runtime.store.inputs.of(window).values())
        began = time.monotonic()
        runtime.runner.fresh()
        for one in inputs:
            runtime.runner.ask(one.payload, calls, 60)
        seconds += time.monotonic() - began
    return seconds


def bare_copy(runtime: Runtime) -> tuple[float, int]:
    """Seconds to COPY the same rows, as text, into tables without index or constraint, and how many."""
    seconds, rows = 0.0, 0
    for table in TABLES:
        buffer = io.StringIO()
        with runtime.store.database.transaction() as connection:
            cursor = connection.connection.cursor()
            cursor.copy_expert(f"copy (select * from {table}) to stdout", buffer)
            rows += cursor.rowcount
            connection.execute(text(f"create table floor_{table} (like {table})"))
        buffer.seek(0)
        began = time.monotonic()
        with runtime.store.database.transaction() as connection:
            connection.connection.cursor().copy_expert(f"copy floor_{table} from stdin", buffer)
        seconds += time.monotonic() - began
    return seconds, rows


def drop(home: Path) -> None:
    competition = read_competition(home)
    with open_runtime(competition) as runtime, runtime.store.database.transaction() as connection:
        connection.execute(text(f"drop schema {competition.schema} cascade"))
    stop_embedded(home)
    shutil.rmtree(home)


def result(
    options: argparse.Namespace,
    report: ReplayReport,
    workers: int,
    seconds: float,
    peak: float,
    calls: float,
    copied: float,
    rows: int,
) -> dict[str, Any]:
    predictions = sum(report.statuses.values())
    value, floor = predictions / seconds, predictions / (calls + copied / workers)
    return {
        "name": "replay",
        "value": value,
        "unit": "predictions/s",
        "floor": floor,
        "ratio": value / floor,
        "goal": GOAL,
        "met": value / floor >= GOAL,
        "detail": {
            "floor is": "the same calls to the same models, fresh each window, by as many workers, and the same rows "
            "by one COPY a table, shared out among them",
            "models": options.models,
            "forecasts of each at an instant": options.horizons,
            "workers": workers,
            "feed": f"tape {options.tape}" if options.tape else "simulated",
            "windows": report.windows,
            "cycles": report.cycles,
            "predictions": predictions,
            "void": report.void,
            "pending": report.pending,
            "seconds": seconds,
            "bare calls, seconds": calls,
            "bare COPY, seconds": copied,
            "rows copied": rows,
            "peak memory of the coordinator, MB": peak,
            "peak memory of the largest model process, MB": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
            / 1024,
        },
    }
