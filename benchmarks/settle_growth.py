"""Settling one window after a short and after a long history: a trailing score must not cost more with age.

    make bench NAME=settle_growth ARGS="--small 100000 --large 1000000 --repetitions 9"

A window is 60 instants x 10 models of the baseline pack, settled (truths, scores, model scores, board) with a
look-back of 168 h. Each measurement is a process of its own that starts the embedded PostgreSQL, settles one
fresh window and stops the server: its buffers are cold, the operating system's file cache is not.
The peer is what the rollups replace: all scored forecasts of all history read back, and averaged by model.
"""

import argparse
import math
import multiprocessing
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import psutil
from rich.console import Console

from benchmarks._settled_history import write_history
from coordinator_dagster.competition import read_competition
from coordinator_dagster.runtime import Runtime, open_runtime
from coordinator_dagster.store.embedded import stop_embedded
from coordinator_dagster.windows import Window
from slots.views import ModelView, ScoredPrediction

MODELS = 10
PER_HOUR = 60 * MODELS
GOAL = 1.2
# The history ends, and the first window to settle starts, at the same moment whatever its length.
HISTORY_END = datetime(2024, 3, 20, tzinfo=UTC)
AGGREGATORS = {"rollups": "slots.defaults:aggregate_model_scores", "scored": "benchmarks.settle_growth:mean_of_scored"}
STAGES = ("resolve", "score", "aggregate", "rank")


def mean_of_scored(
    scored_predictions: Sequence[ScoredPrediction], models: Mapping[str, ModelView]
) -> list[dict[str, Any]]:
    """The slot MODEL_SCORE_AGGREGATOR as the original's: the mean of every forecast it is given."""
    values: dict[str, list[float]] = {}
    for one in scored_predictions:
        if one.score.value is not None:
            values.setdefault(one.model_id, []).append(one.score.value)
    means = {model_id: math.fsum(own) / len(own) for model_id, own in sorted(values.items())}
    return [
        {
            "model_id": model_id,
            "model_name": models[model_id].name,
            "cruncher_name": models[model_id].player_name,
            "score": {"metrics": {"anchor": mean}, "ranking": {"key": "anchor", "value": mean}},
        }
        for model_id, mean in means.items()
    ]


@dataclass(frozen=True)
class Case:
    """A competition of its own: which aggregator, after how long a history."""

    home: Path
    aggregator: str
    hours: int

    @property
    def start(self) -> datetime:
        return HISTORY_END - timedelta(hours=self.hours)


@dataclass(frozen=True)
class Measured:
    """Seconds by step, and MB of this process: before, and at its peak."""

    seconds: dict[str, float]
    before: float
    peak: float

    @property
    def total(self) -> float:
        return sum(self.seconds.values())


def run(arguments: list[str]) -> dict[str, Any]:
    options = parse(arguments)
    home = Path(tempfile.mkdtemp(prefix="bench-growth-"))
    sizes = [round(count / PER_HOUR) for count in (options.small, options.large)]
    found: dict[tuple[str, int], list[Measured]] = {}
    console = Console(stderr=True)
    try:
        for aggregator in AGGREGATORS:
            cases = [Case(home, aggregator, hours) for hours in sizes]
            for case in cases:
                console.print(f"{aggregator}: making {case.hours * PER_HOUR:,} earlier predictions")
                in_a_process_of_its_own(seed, case, options.repetitions)
            # Short and long in turn, and each of them first in turn: a machine that slows down slows both.
            for turn in range(options.repetitions):
                for case in cases[:: -1 if turn % 2 else 1]:
                    measured = in_a_process_of_its_own(settle, case, turn)
                    found.setdefault((aggregator, case.hours), []).append(measured)
                    console.print(f"{aggregator}, after {case.hours * PER_HOUR:,}: settled in {measured.total:.3f} s")
        for hours in sizes:
            console.print(f"peer, after {hours * PER_HOUR:,}: reading all of history")
            found["peer", hours] = [in_a_process_of_its_own(read_all, Case(home, "rollups", hours))]
    finally:
        in_a_process_of_its_own(stop_embedded, home)
        shutil.rmtree(home)
    return result(found, *sizes)


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench NAME=settle_growth")
    parser.add_argument("--small", type=int, default=100_000, help="earlier predictions of the short history")
    parser.add_argument("--large", type=int, default=1_000_000, help="of the long one")
    parser.add_argument("--repetitions", type=int, default=9, help="windows settled each, the median counts")
    options = parser.parse_args(arguments)
    if not PER_HOUR <= options.small < options.large - PER_HOUR:
        parser.error(f"--small is at least {PER_HOUR} (an hour of predictions), --large more by as many")
    return options


def in_a_process_of_its_own(function: Callable[..., Any], *arguments: Any) -> Any:
    """Its peak memory is its own; and a process can start the embedded server only once."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


@contextmanager
def opened(case: Case) -> Iterator[Runtime]:
    """The case's competition on a server that starts now and stops at the end."""
    os.environ.pop("DATABASE_URL", None)  # somebody's server is not restarted
    os.environ.update(
        {
            "COMPETITION": f"{case.aggregator}-{case.hours}",
            "COMPETITION_START": case.start.isoformat(),
            "PACK": "baseline",
            "FEED_PROVIDER": "simulated",
            "MODEL_SCORE_AGGREGATOR": AGGREGATORS[case.aggregator],
        }
    )
    try:
        with open_runtime(read_competition(case.home)) as runtime:
            yield runtime
    finally:
        stop_embedded(case.home)


def seed(case: Case, fresh_windows: int) -> None:
    """The history, settled, and the windows after it that are yet to be."""
    with opened(case) as runtime:
        write_history(runtime, HISTORY_END, HISTORY_END + timedelta(hours=fresh_windows), MODELS)


def settle(case: Case, turn: int) -> Measured:
    """Settle the window that is `turn` hours after the history; checks that it became a final board."""
    with opened(case) as runtime:
        begin = HISTORY_END + timedelta(hours=turn)
        window = Window(begin, begin + timedelta(hours=1))
        measured, (resolved, scored, _, ranked) = measure(
            {name: lambda name=name: getattr(runtime, name)([window]) for name in STAGES}
        )
    assert (resolved.resolved, scored.scored) == (60, PER_HOUR), (resolved, scored)
    assert (ranked.windows, ranked.final, ranked.ranked) == (1, 1, MODELS), ranked
    return measured


def read_all(case: Case) -> Measured:
    """The peer: every scored forecast there is, averaged by model."""
    with opened(case) as runtime:
        version = runtime.competition.score_version()
        models = runtime.store.boards.models()
        every = (case.start, HISTORY_END, version)
        measured, _ = measure({"all": lambda: mean_of_scored(runtime.store.scores.scored_predictions(*every), models)})
    return measured


def measure(steps: Mapping[str, Callable[[], Any]]) -> tuple[Measured, list[Any]]:
    before, seconds, returned = psutil.Process().memory_info().rss / 2**20, {}, []
    for name, step in steps.items():
        began = time.monotonic()
        returned.append(step())
        seconds[name] = time.monotonic() - began
    return Measured(seconds, before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10), returned


def result(found: Mapping[tuple[str, int], Sequence[Measured]], small: int, large: int) -> dict[str, Any]:
    def ratio(who: str, figure: Callable[[Measured], float]) -> float:
        """Of each turn's two, seconds apart; the median of the turns."""
        return median(figure(b) / figure(a) for a, b in zip(found[who, small], found[who, large], strict=True))

    def exponent(who: str) -> float:
        return math.log(ratio(who, lambda one: one.total)) / math.log(large / small)

    value, memory = ratio("rollups", lambda one: one.total), ratio("rollups", lambda one: one.peak)
    detail: dict[str, Any] = {
        "a window is": f"60 instants x {MODELS} models, look-back 168 h; after a restart of PostgreSQL each",
        "rollups, ratio of peak memory": memory,
        "scored_predictions, ratio of time": ratio("scored", lambda one: one.total),
        "scored_predictions, ratio of peak memory": ratio("scored", lambda one: one.peak),
        "peer is": "the history re-read at each scoring: all scored forecasts, averaged by model (once)",
        "peer, ratio of time": ratio("peer", lambda one: one.total),
        "peer, ratio of peak memory": ratio("peer", lambda one: one.peak),
        "exponents of time: rollups, scored_predictions, peer": [
            round(exponent(who), 2) for who in ("rollups", "scored", "peer")
        ],
    }
    for (who, hours), every in found.items():
        detail |= figures(f"{who}, after {hours * PER_HOUR:,}", every)
    return {
        "name": "settle_growth",
        "value": value,
        "unit": f"x the time after {small * PER_HOUR:,} predictions, after {large * PER_HOUR:,}",
        "goal": GOAL,
        "met": max(value, memory) <= GOAL,
        "detail": detail,
    }


def figures(label: str, every: Sequence[Measured]) -> dict[str, Any]:
    seconds = sorted(one.total for one in every)
    steps = {name: round(median(one.seconds[name] for one in every), 3) for name in every[0].seconds}
    return {
        f"{label}: seconds, median": median(seconds),
        f"{label}: fastest, slowest": [round(seconds[0], 3), round(seconds[-1], 3)],
        f"{label}: by step": steps,
        f"{label}: MB before, at peak": [
            round(median(one.before for one in every)),
            round(median(one.peak for one in every)),
        ],
    }
