"""Runs of neighbouring windows in any order and at the same time give the tables that one process gives."""

import os
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from coordinator_dagster.code_location import build_definitions
from coordinator_dagster.competition import Competition
from coordinator_dagster.errors import UserErrors
from coordinator_dagster.levers.carry_out import carry_out
from coordinator_dagster.levers.request import Request
from coordinator_dagster.replay import replay
from coordinator_dagster.runtime import open_runtime
from coordinator_dagster.windows import Window
from tests.tables import settled_tables
from tests.test_loop import OUTAGE

Make = Callable[..., Competition]
SIMULATED = {"pack": "tournament", "competition_end": "2026-01-05T06:00Z"}
SEEDS = 8  # of each case of the longer test
LONGEST_RUN = 3  # windows
PAUSE_SECONDS = 0.2  # at most, before each step: so that the runs overtake each other


def run(made: Competition, windows: Sequence[Window], dice: random.Random) -> None:
    """What a batch run of these windows does, asset by asset."""
    with open_runtime(made) as runtime:
        ingest = partial(runtime.ingest, refetch=False)
        steps = (ingest, runtime.build_inputs, runtime.predict, runtime.resolve, runtime.score)
        for step in (*steps, runtime.aggregate, runtime.rank):
            time.sleep(dice.uniform(0, PAUSE_SECONDS))
            step(windows)


def in_one(made: Competition) -> dict[str, Any]:
    """All windows in one process; the settled tables."""
    with open_runtime(made) as runtime:
        replay(runtime, windows_of(made), lambda done: None)
        return settled_tables(runtime.store)


def windows_of(made: Competition) -> list[Window]:
    assert made.closing
    return made.windows.between(made.start, made.closing)


def in_runs(made: Competition, seed: int, at_once: int) -> dict[str, Any]:
    """All windows in runs of any length, in any order, so many at once; the settled tables."""
    dice = random.Random(seed)
    left, runs = windows_of(made), []
    while left:
        length = dice.randint(1, LONGEST_RUN)
        runs.append(left[:length])
        left = left[length:]
    dice.shuffle(runs)
    with ThreadPoolExecutor(at_once) as pool:
        for one in [pool.submit(run, made, some, random.Random(f"{seed} {some}")) for some in runs]:
            one.result()
    with open_runtime(made) as runtime:
        return settled_tables(runtime.store)


def compare(
    competition: Make,
    settings: dict[str, Any],
    seeds: Sequence[int],
    at_once: int,
    prepare: Callable[[Competition], None] = lambda made: None,
) -> None:
    """One process against runs in the orders of the seeds, after the same preparation."""

    def made(name: str) -> Competition:
        one = competition(name, **settings)
        prepare(one)
        return one

    straight = in_one(made("a"))
    assert straight["scores"] and all(one["final"] for one in straight["leaderboards"])
    for seed in seeds:
        tables = in_runs(made("b"), seed, at_once)
        for name, rows in straight.items():
            assert tables[name] == rows, f"seed {seed}: {name}"


def pause(made: Competition) -> None:
    """Two hours in which nothing is performed: whoever has only these has a board without scores."""
    with open_runtime(made) as runtime:
        for kind, hour in (("pause", 2), ("resume", 4)):
            carry_out(runtime, Request(kind, "because", "a test", at=made.start + timedelta(hours=hour)))


@pytest.mark.parametrize("at_once", [1, 3])
def test_any_order_gives_the_tables_of_one_process(competition: Make, at_once: int) -> None:
    compare(competition, SIMULATED, [at_once], at_once)


def test_a_backfill_is_cut_into_runs_of_so_many_windows(competition: Make) -> None:
    for windows in (None, 10):
        made = competition(**({"backfill_windows": windows} if windows else {}))
        job = build_definitions(made).resolve_job_def(f"{made.schema}_loop")
        assert job.backfill_policy.max_partitions_per_run == windows


def test_models_that_persist_are_not_asked_side_by_side(competition: Make) -> None:
    with pytest.raises(UserErrors, match="BACKFILL_WINDOWS = '10': with MODEL_RUNNER=grpc the same models go on"):
        competition(backfill_windows=10, model_runner="grpc")


@pytest.mark.production
@pytest.mark.skipif(os.environ.get("COORDINATOR_TEST_PRODUCTION") != "1", reason="takes minutes: `make production`")
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("at_once", [1, 2, 4])
@pytest.mark.parametrize("pack", ["baseline", "realtime", "tournament"])
def test_many_orders_over_a_tape_with_a_hole(competition: Make, tape_dir: Path, pack: str, at_once: int) -> None:
    provider = {"feed_provider": "simulated"} if pack == "realtime" else {**OUTAGE, "feed_tape_dir": tape_dir}
    compare(competition, {**provider, "pack": pack}, range(at_once * 100, at_once * 100 + SEEDS), at_once)


@pytest.mark.production
@pytest.mark.skipif(os.environ.get("COORDINATOR_TEST_PRODUCTION") != "1", reason="takes minutes: `make production`")
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("at_once", [1, 3])
def test_many_orders_around_a_pause(competition: Make, at_once: int) -> None:
    compare(competition, SIMULATED, range(SEEDS), at_once, pause)
