"""How long a runner takes for an instant at models that answer at once, beside its floor in the same run.

    make bench NAME=runners ARGS="--models 1,10,100 --instants 100"

An instant is a tick of 120 candles and one forecast per model. The floor of `local` is as many bare processes that
answer a frame over a socket pair; that of `grpc` the same nodes asked by bare grpc.aio stubs. Runner and floor take
turns, instant by instant, so that whatever else the machine does meets both.
"""

import argparse
import asyncio
import inspect
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from model_runner_client.grpc.generated.dynamic_subclass_pb2 import CallRequest

from benchmarks._echo import Bare, EchoNodes, EchoProcesses
from coordinator_dagster.runners.base import Call, Runner
from coordinator_dagster.runners.grpc_arguments import predict_arguments, tick_arguments
from coordinator_dagster.runners.grpc_runner import GrpcRunner, Orchestrator
from coordinator_dagster.runners.local import LocalRunner
from slots.tracker import TrackerBase

PAUSE_SECONDS = 0.05
GOAL_RATIO = 5.0  # times the floor, p99 at the largest number of models
CALL = Call(["BTC", 60, 15])
CANDLE = {"ts": 1767571200, "open": 64123.45, "high": 64200.0, "low": 64100.12, "close": 64150.5, "volume": 12.345}
TICK = json.dumps({"symbol": "BTC", "asof_ts": 1767571200, "candles_1m": [CANDLE] * 120}).encode()
MODEL = (
    "from slots.tracker import TrackerBase\n\n\nclass AtOnce(TrackerBase):\n    def tick(self, data):\n        pass\n\n"
    "    def predict(self, asset, horizon, step):\n        return {'value': 0.001}\n"
)


def run(arguments: list[str]) -> dict[str, Any]:
    parser = argparse.ArgumentParser(prog="make bench NAME=runners")
    parser.add_argument("--models", default="1,10,100")
    parser.add_argument("--instants", type=int, default=100)
    options = parser.parse_args(arguments)
    counts, detail = [int(one) for one in options.models.split(",")], {}
    for kind, measure in (("local", local), ("grpc", over_grpc)):
        for count in counts:
            times, floors = measure(count, options.instants)
            detail |= figures(f"{kind}, {count} models", count, times, floors)
    last = f"grpc, {counts[-1]} models"
    value, floor = detail[f"{last}: an instant, p99 ms"], detail[f"{last}: its floor, p99 ms"]
    ratios = [detail[f"{kind}, {counts[-1]} models: times its floor, p99"] for kind in ("local", "grpc")]
    return {
        "name": "runners",
        "value": value,
        "unit": f"ms an instant, p99, {last}",
        "floor": floor,
        "ratio": value / floor,
        "goal": f"at most {GOAL_RATIO:g} times the floor at p99, {counts[-1]} models, both runners",
        "met": max(ratios) <= GOAL_RATIO,
        "detail": detail,
    }


def local(count: int, instants: int) -> tuple[list[float], list[float]]:
    with tempfile.TemporaryDirectory(prefix="bench-runners-") as folder:
        for number in range(count):
            (Path(folder) / f"model_{number:03}").mkdir()
            (Path(folder) / f"model_{number:03}" / "main.py").write_text(MODEL)
        echoes = EchoProcesses(count)
        try:
            with LocalRunner(Path(folder)) as runner:
                return taking_turns(runner, count, lambda: echoes.ask(TICK), instants)
        finally:
            echoes.close()


def over_grpc(count: int, instants: int) -> tuple[list[float], list[float]]:
    nodes = EchoNodes(count)
    args, kwargs = tick_arguments(TICK)
    tick = CallRequest(methodName="tick", methodArguments=args, methodKwArguments=kwargs)
    args, kwargs = predict_arguments(inspect.signature(TrackerBase.predict), CALL)
    predict = CallRequest(methodName="predict", methodArguments=args, methodKwArguments=kwargs)
    there = Orchestrator("127.0.0.1", nodes.port, "bench", "slots.tracker.TrackerBase", 10.0)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    bare = Bare(nodes.nodes)
    try:
        with GrpcRunner(there, TrackerBase.predict) as runner:
            return taking_turns(runner, count, lambda: loop.run_until_complete(bare.ask(tick, predict)), instants)
    finally:
        loop.run_until_complete(bare.close())
        loop.close()
        nodes.close()


def taking_turns(
    runner: Runner, count: int, floor: Callable[[], None], instants: int
) -> tuple[list[float], list[float]]:
    """Seconds of each instant by the runner, and by its floor; a few before them are not counted."""
    runner.fresh()
    times, floors = [], []
    for number in range(-5, instants):
        began = time.monotonic()
        answers = runner.ask(TICK, [CALL], 10)
        took = time.monotonic() - began
        assert sum(one.status == "SUCCESS" for (one,) in answers.values()) == count, answers
        time.sleep(PAUSE_SECONDS)
        began = time.monotonic()
        floor()
        if number >= 0:
            times.append(took)
            floors.append(time.monotonic() - began)
        time.sleep(PAUSE_SECONDS)
    return times, floors


def figures(name: str, count: int, times: list[float], floors: list[float]) -> dict[str, float]:
    found = {f"{name}: forecasts a second": count * len(times) / sum(times)}
    for p in (50, 99):
        ours, bare = (float(np.percentile(one, p)) * 1000 for one in (times, floors))
        found |= {
            f"{name}: an instant, p{p} ms": ours,
            f"{name}: its floor, p{p} ms": bare,
            f"{name}: times its floor, p{p}": ours / bare,
        }
    return found
