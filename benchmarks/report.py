"""How fast the report answers, after a short and after a long history, with a thousand models.

    make bench NAME=report ARGS="--small 10000 --large 1000000 --models 1000 --seconds 10"

The API is `coordinator report`, a process of its own over the embedded PostgreSQL; so is who asks, over four
connections, one question after the other. The floor is a server of the same kind that sends bytes as long.
"""

import argparse
import asyncio
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import aiohttp
import httpx
from rich.console import Console

from benchmarks._settled_history import write_history
from coordinator_dagster.competition import read_competition
from coordinator_dagster.ports import port_is_free
from coordinator_dagster.runtime import open_runtime
from coordinator_dagster.store.embedded import stop_embedded

HISTORY_END = datetime(2024, 3, 20, tzinfo=UTC)
CONNECTIONS = 4
GOALS = {"p99": 50.0, "per second": 200.0, "ratio": 1.3}
BOARD = "/reports/leaderboard"
THREE = "projectIds=model-00,model-01,model-02&start=2024-02-19T00:00:00.000Z&end=2024-03-20T00:00:00.000Z"
OTHERS = (
    "/",
    "/model/model-00",
    "/feeds",
    "/clock",
    "/reports/models",
    f"/reports/models/global?{THREE}",
    f"/reports/models/metrics?{THREE}",
    f"/reports/models/params?{THREE}",
    f"/reports/predictions?{THREE}&limit=500",
    "/reports/truths?limit=500",
    "/reports/feeds",
    "/reports/feeds/tail?source=simulated&subject=BTC&kind=candle&granularity=1m&limit=20",
)
COORDINATOR = [sys.executable, "-c", "from coordinator_dagster.cli import main; main()", "report"]
FLOOR = """
import sys, uvicorn
from fastapi import FastAPI, Response
app, body = FastAPI(), b"x" * int(sys.argv[1])
@app.get("/")
def same():
    return Response(body)
uvicorn.run(app, port=int(sys.argv[3]), log_level="error")
"""


@dataclass(frozen=True)
class Case:
    """A competition of its own, of so many minutes."""

    home: Path
    minutes: int
    models: int

    @property
    def predictions(self) -> int:
        return self.minutes * self.models

    @property
    def start(self) -> datetime:
        return HISTORY_END - timedelta(hours=-(-self.minutes // 60))

    def environment(self) -> dict[str, str]:
        return {
            **{name: value for name, value in os.environ.items() if name != "DATABASE_URL"},
            "COORDINATOR_HOME": str(self.home),
            "COMPETITION": f"report-{self.minutes}",
            "COMPETITION_START": self.start.isoformat(),
            "PACK": "baseline",
            "FEED_PROVIDER": "simulated",
        }


@dataclass(frozen=True)
class Measured:
    """Milliseconds an answer took, answers a second, bytes of one."""

    p50: float
    p99: float
    per_second: float
    size: int


def run(arguments: list[str]) -> dict[str, Any]:
    options = parse(arguments)
    home, console = Path(tempfile.mkdtemp(prefix="bench-report-")), Console(stderr=True)
    cases = [Case(home, max(1, count // options.models), options.models) for count in (options.small, options.large)]
    found: dict[tuple[int, str], list[Measured]] = {}
    floor = list[Measured]()
    try:
        for case in cases:
            console.print(f"making {case.predictions:,} predictions of {case.models} models")
            in_a_process_of_its_own(seed, case)
        for turn in range(options.repetitions):
            # Short and long in turn, and each first in turn: a machine that slows down slows both.
            for case in cases[:: -1 if turn % 2 else 1]:
                with serving(COORDINATOR, case.environment()) as url:
                    for path in (BOARD, *OTHERS):
                        seconds = options.seconds if path == BOARD else 2
                        found.setdefault((case.minutes, path), []).append(measure(url + path, seconds))
                console.print(f"{case.predictions:,}: {found[case.minutes, BOARD][-1]}")
            size = found[cases[0].minutes, BOARD][0].size
            with serving([sys.executable, "-c", FLOOR, str(size)], dict(os.environ)) as url:
                floor.append(measure(url + "/", options.seconds))
    finally:
        in_a_process_of_its_own(stop_embedded, home)
        shutil.rmtree(home)
    return result(found, floor, *cases)


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench NAME=report")
    parser.add_argument("--small", type=int, default=10_000, help="predictions of the short history")
    parser.add_argument("--large", type=int, default=1_000_000, help="of the long one")
    parser.add_argument("--models", type=int, default=1000)
    parser.add_argument("--seconds", type=int, default=10, help="so long the leaderboard is asked for, each turn")
    parser.add_argument("--repetitions", type=int, default=3, help="turns; the median counts")
    return parser.parse_args(arguments)


def in_a_process_of_its_own(function: Any, *arguments: Any) -> Any:
    """A process can start the embedded server only once."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def seed(case: Case) -> None:
    os.environ.pop("DATABASE_URL", None)
    os.environ.update(case.environment())
    with open_runtime(read_competition(case.home)) as runtime:
        end = case.start + timedelta(minutes=case.minutes)
        write_history(runtime, end, end, case.models)


@contextmanager
def serving(command: list[str], environment: dict[str, str]) -> Iterator[str]:
    """The address of a server that the command starts on the port it is given."""
    port = next(port for port in range(18000, 19000) if port_is_free("127.0.0.1", port))
    process = subprocess.Popen([*command, "--port", str(port)], env=environment, stdout=subprocess.DEVNULL)
    try:
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{port}/openapi.json")
                break
            except httpx.TransportError:
                assert process.poll() is None, f"{command[:3]} ended"
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def measure(url: str, seconds: float) -> Measured:
    """Ask, from a process of its own, over and over."""
    measured: Measured = in_a_process_of_its_own(ask, url, seconds)
    return measured


def ask(url: str, seconds: float) -> Measured:
    return asyncio.run(_ask(url, seconds))


async def _ask(url: str, seconds: float) -> Measured:
    took, sizes = list[float](), set[int]()

    async def one_after_the_other(session: aiohttp.ClientSession, until: float) -> None:
        while time.monotonic() < until:
            began = time.monotonic()
            async with session.get(url) as answer:
                body = await answer.read()
                assert answer.status == 200, f"{url}: {answer.status} {body[:200]!r}"
            took.append((time.monotonic() - began) * 1000)
            sizes.add(len(body))

    async with aiohttp.ClientSession(headers={"Accept-Encoding": "gzip"}, auto_decompress=False) as session:
        await one_after_the_other(session, time.monotonic() + 0.5)  # connections are made, what is kept is there
        took.clear()
        began = time.monotonic()
        await asyncio.gather(*(one_after_the_other(session, began + seconds) for _ in range(CONNECTIONS)))
        over = time.monotonic() - began
    each = quantiles(took, n=100)
    return Measured(each[49], each[98], len(took) / over, max(sizes))


def result(
    found: dict[tuple[int, str], list[Measured]], floor: list[Measured], small: Case, large: Case
) -> dict[str, Any]:
    def of(case: Case, path: str, figure: str) -> float:
        return median(getattr(one, figure) for one in found[case.minutes, path])

    def ratio(path: str) -> float:
        pairs = zip(found[small.minutes, path], found[large.minutes, path], strict=True)
        return median(a.per_second / b.per_second for a, b in pairs)

    p99, per_second = of(large, BOARD, "p99"), of(large, BOARD, "per_second")
    bare = median(one.per_second for one in floor)
    detail: dict[str, Any] = {
        "an answer is": f"the leaderboard of {large.models} models, zipped, {of(large, BOARD, 'size') / 1000:.0f} kB",
        "leaderboard, ratio of time: long to short history": ratio(BOARD),
        "floor: as many bytes and nothing else, per second": bare,
        "share of the floor": per_second / bare,
    }
    for case in (small, large):
        detail |= {
            f"{path.split('?')[0]}, after {case.predictions:,}: p50, p99 ms, per second, kB": [
                *(round(of(case, path, name), 1) for name in ("p50", "p99", "per_second")),
                round(of(case, path, "size") / 1000, 1),
            ]
            for path in (BOARD, *OTHERS)
        }
    detail |= {f"{path.split('?')[0]}, ratio of time": ratio(path) for path in OTHERS}
    return {
        "name": "report",
        "value": p99,
        "unit": f"ms p99, the leaderboard of {large.models} models after {large.predictions:,} predictions",
        "goal": GOALS,
        "met": p99 <= GOALS["p99"] and per_second >= GOALS["per second"] and ratio(BOARD) <= GOALS["ratio"],
        "detail": {"leaderboard, answers per second": per_second, **detail},
    }
