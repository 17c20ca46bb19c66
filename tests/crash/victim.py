"""The process that is killed: runs the loop's job in Dagster and says where it is, point by point.

A point is a boundary between two statements of a step: before each statement, COPY and commit, and after
the last. What is stored can only differ from one to the next, so that killing at each is killing everywhere.
"""

import multiprocessing
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import dagster as dg
from sqlalchemy import Engine, event

from coordinator_dagster import runtime
from coordinator_dagster.assets import scores
from coordinator_dagster.code_location import build_definitions
from coordinator_dagster.competition import read_competition
from coordinator_dagster.runtime import Runtime
from coordinator_dagster.stages import ingest
from coordinator_dagster.store.database import Database

# Each asset's step; before the first one, the schema is made and the configs are made known.
OPENING = "opening"
STEPS = {
    "market_records": "ingest",
    "inference_inputs": "build_inputs",
    "predictions": "predict",
    "ground_truths": "resolve",
    "scores": "score",
    "model_scores": "aggregate",
    "leaderboard": "rank",
}
COMMIT = "commit"
SHOWN = 60


@dataclass(frozen=True)
class Order:
    """What a process is to do; its environment and home are the test's, `runs` has the windows of each run.

    It stands still at the point `stop_at` of the step of `stop_in`; without a number it goes on, and stands
    still at the very end. `batch` is how many market records are committed at once.
    """

    environment: Mapping[str, str]
    home: Path
    runs: Sequence[Sequence[str]]
    stop_in: str | None = None
    stop_at: int | None = None
    batch: int | None = None


@dataclass(frozen=True)
class Began:
    """A step begins."""

    asset: str


@dataclass(frozen=True)
class Ended:
    """A step has ended: its points, and how long it took."""

    asset: str
    points: list[str]
    seconds: float


@dataclass(frozen=True)
class Standing:
    """It stands still, to be killed: at this point, or (None) at the end."""

    point: str | None


@dataclass
class _Points:
    order: Order
    told: Connection
    asset: str | None = None
    passed: list[str] = field(default_factory=list)

    def around(self, asset: str, step: Callable[..., Any]) -> Callable[..., Any]:
        """The step, saying when it begins and ends."""

        def run(*args: Any, **options: Any) -> Any:
            self.asset, self.passed = asset, []
            self.told.send(Began(asset))
            began = time.monotonic()
            found = step(*args, **options)
            self.at("the step's end")
            self.told.send(Ended(asset, self.passed, time.monotonic() - began))
            self.asset = None
            return found

        return run

    def at(self, point: str) -> None:
        if self.asset is None:
            return
        self.passed.append(" ".join(point.split())[:SHOWN])
        if self.asset == self.order.stop_in and len(self.passed) - 1 == self.order.stop_at:
            stand_still(self.told, self.passed[-1])


def stand_still(told: Connection, point: str | None) -> None:
    """Until it is killed, or the test itself has gone."""
    told.send(Standing(point))
    if test := multiprocessing.parent_process():
        test.join()
    os._exit(1)


def materialize(order: Order, told: Connection) -> None:
    """Every asset, for the windows of each run."""
    os.setsid()
    os.environ.clear()
    os.environ.update(order.environment)
    ingest.BATCH = order.batch or ingest.BATCH
    scores.price_and_forecasts = lambda _runtime, _window: {}  # a plot writes nothing, and takes a third of the time
    _watch(_Points(order, told))
    competition = read_competition(order.home)
    job = build_definitions(competition).resolve_job_def(f"{competition.schema}_loop")
    with dg.DagsterInstance.ephemeral() as instance:
        for keys in order.runs:
            tags = {"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[-1]}
            job.execute_in_process(instance=instance, tags=tags)
    if order.stop_in:
        stand_still(told, None)


def _watch(points: _Points) -> None:
    for asset, name in STEPS.items():
        setattr(Runtime, name, points.around(asset, getattr(Runtime, name)))
    runtime.open_store = points.around(OPENING, runtime.open_store)

    def copy(self: Database, connection: Any, table: str, *args: Any) -> int:
        points.at(f"copy {table}")
        return plain_copy(self, connection, table, *args)

    plain_copy, Database.copy = Database.copy, copy

    @event.listens_for(Engine, "before_cursor_execute")
    def statement(connection: Any, _cursor: Any, sql: str, *_: Any) -> None:
        if connection.dialect.name == "postgresql":  # not Dagster's own, in memory
            points.at(sql)

    @event.listens_for(Engine, "commit")
    def commit(connection: Any) -> None:
        if connection.dialect.name == "postgresql":
            points.at(COMMIT)
