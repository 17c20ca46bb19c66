"""How long after its cut-off an instant's calls are sent, and its forecasts are stored; beside the bare calls.

    make bench NAME=live ARGS="--models 1,10,100 --instants 200"

Each model is a process of its own that answers at once. An instant a second, real time, the simulated market.
"""

import argparse
import asyncio
import json
import os
import shutil
import tempfile
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import text

from coordinator_dagster.clock import RunningClock
from coordinator_dagster.competition import read_competition
from coordinator_dagster.live.live_run import live_run
from coordinator_dagster.packs import available_packs
from coordinator_dagster.runners.base import Call
from coordinator_dagster.runtime import Runtime, open_runtime
from coordinator_dagster.store.embedded import stop_embedded
from coordinator_dagster.windows import Window
from slots.market import utc

START = utc("2026-01-05T00:00Z")
WARM_SECONDS = 20  # real ones, before the first instant: a hundred models start
BARE_PAUSE_SECONDS = 0.2
GOALS = {"sent": 20.0, "stored": 150.0}  # milliseconds at 100 models, p99
MODEL = (
    "from slots.tracker import TrackerBase\n\n\nclass AtOnce(TrackerBase):\n    def tick(self, data):\n        pass\n\n"
    "    def predict(self, asset, horizon, step):\n        return {'value': 0.001}\n"
)


class Quiet:
    """A `Tell` that shows problems alone."""

    def log(self, line: str) -> None:
        pass

    def problem(self, line: str) -> None:
        print(line)

    def observed(self, runtime: Runtime, window: Window) -> None:
        pass

    def closed(self, runtime: Runtime, window: Window) -> None:
        pass

    def frozen(self, day: str) -> None:
        pass


def run(arguments: list[str]) -> dict[str, Any]:
    parser = argparse.ArgumentParser(prog="make bench NAME=live")
    parser.add_argument("--models", default="1,10,100")
    parser.add_argument("--instants", type=int, default=200)
    options = parser.parse_args(arguments)
    detail: dict[str, Any] = {}
    for count in map(int, options.models.split(",")):
        detail |= {f"{count} models, {name}": value for name, value in measure(count, options.instants).items()}
    last = f"{options.models.split(',')[-1]} models"
    value, floor = detail[f"{last}, cut-off to stored, p99 ms"], detail[f"{last}, bare calls answered, p99 ms"]
    sent = detail[f"{last}, cut-off to last call sent, p99 ms"]
    return {
        "name": "live",
        "value": value,
        "unit": f"ms from cut-off to stored, p99, {last}",
        "floor": floor,
        "ratio": value / floor,
        "goal": f"{GOALS['sent']:g} ms to send, {GOALS['stored']:g} ms to store",
        "met": sent <= GOALS["sent"] and value <= GOALS["stored"],
        "detail": {"floor is": "the runner alone: the same calls, all answered", **detail},
    }


def measure(count: int, instants: int) -> dict[str, float]:
    home = Path(tempfile.mkdtemp(prefix="bench-live-"))
    try:
        configure(count, home)
        competition = read_competition(home)
        with open_runtime(competition) as runtime:
            runtime.__dict__["_present"] = RunningClock(START - timedelta(seconds=WARM_SECONDS), 1.0)
            asyncio.run(until(runtime, START + timedelta(seconds=instants - 0.1)))
            rows = runtime.store.database.read(
                "select extract(epoch from cut_off - performed_at) as waited, "
                " extract(epoch from dispatched_at - cut_off) as sent, "
                " extract(epoch from stored_at - cut_off) as stored, status, reason from cycles order by performed_at"
            )
            payload = runtime.store.inputs.of(competition.windows.at(START))[START].payload
        with open_runtime(competition) as runtime:
            bare = bare_calls(runtime, payload, instants)
            with runtime.store.database.transaction() as connection:
                connection.execute(text(f"drop schema {competition.schema} cascade"))
    finally:
        stop_embedded(home)
        shutil.rmtree(home)
    done = [row for row in rows if row.status == "PERFORMED"]
    stored = [row.stored for row in done if row.stored is not None]
    return {
        "cycles missed": len(rows) - len(done),
        **percentiles("boundary to cut-off", [row.waited for row in done]),
        **percentiles("cut-off to last call sent", [row.sent for row in done]),
        **percentiles("cut-off to stored", stored),
        **percentiles("bare calls sent", [one[0] for one in bare]),
        **percentiles("bare calls answered", [one[1] for one in bare]),
    }


def configure(count: int, home: Path) -> None:
    for number in range(count):
        (home / "models" / f"model_{number:03}").mkdir(parents=True)
        (home / "models" / f"model_{number:03}" / "main.py").write_text(MODEL)
    pack = json.loads(available_packs()["realtime"].read_text())
    pack["scheduled_prediction_configs"][0]["schedule"] = {"every_seconds": 1}
    (home / "second.json").write_text(json.dumps(pack))
    database = os.environ.get("COORDINATOR_TEST_DATABASE_URL")
    os.environ.update(
        {
            "COMPETITION": f"bench-{os.getpid()}-{count}",
            "COMPETITION_START": START.isoformat(),
            "MODE": "live",
            "PACK": "second.json",
            "FEED_PROVIDER": "simulated",
            "MODELS_DIR": str(home / "models"),
            **({"DATABASE_URL": database} if database else {}),
        }
    )


async def until(runtime: Runtime, end: Any) -> None:
    task = asyncio.create_task(live_run(runtime, runtime.competition.windows.at(START), "bench", Quiet()))
    await asyncio.wait({task, asyncio.create_task(runtime.clock.sleep_until(end))}, return_when="FIRST_COMPLETED")
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def bare_calls(runtime: Runtime, payload: bytes, instants: int) -> list[tuple[float, float]]:
    """Seconds until the last call was sent, and until all had answered; the models rest between two instants."""
    call, found = [Call(["BTC", 60, 15])], []
    runtime.runner.fresh()
    for _ in range(instants):
        began = time.monotonic()
        runtime.runner.ask(payload, call, 1)
        found.append((runtime.runner.dispatch_seconds, time.monotonic() - began))
        time.sleep(BARE_PAUSE_SECONDS)
    return found


def percentiles(name: str, seconds: list[Any]) -> dict[str, float]:
    milliseconds = np.array([float(one) * 1000 for one in seconds])
    return {f"{name}, p{p} ms": float(np.percentile(milliseconds, p)) for p in (50, 99)}
