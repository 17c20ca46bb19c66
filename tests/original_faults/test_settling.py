"""Settling: it goes on from what is stored, whoever died and however many are at it."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest
import yaml

from coordinator_dagster.audit.queries import ASSETS as WINDOWED
from coordinator_dagster.code_location import ASSETS
from coordinator_dagster.competition import Competition
from coordinator_dagster.runtime import Runtime
from coordinator_dagster.windows import Window
from tests.original_faults import odd_slots
from tests.original_faults.conftest import WritePack
from tests.original_faults.world import ODD_SLOTS, Script, always, opened, perform, rows, said, settle, windows_of
from tests.tables import settled_tables

Make = Callable[..., Competition]
Step = Callable[[Runtime, list[Window]], Any]
PROJECT = Path(__file__).parents[2]
MODELS: dict[str, Script] = {
    "up": always(0.001),
    "flat": always(0.0),
    "down": always(-0.001),
    "moody": lambda t: said(0.0002) if t.minute % 3 else None,
}
SETTLED = ("ground_truths", "scores", "score_rollups", "model_scores", "leaderboards", "slot_versions", "predictions")
processes = multiprocessing.get_context("fork")


def settled(competition: Competition, step: Step | None) -> dict[str, Any]:
    """The tables of settling after this step in a runtime of its own."""
    with opened(competition, MODELS) as runtime:
        if step:
            step(runtime, windows_of(competition))
        tables = settled_tables(runtime.store)
    return {name: tables[name] for name in SETTLED}


def performed(competition: Competition) -> Competition:
    with opened(competition, MODELS) as runtime:
        perform(runtime, windows_of(competition))
    return competition


def test_kill_9_between_score_and_leaderboard(competition: Make) -> None:
    """Kill -9 between score and leaderboard: the board waits for the next score."""
    whole = settled(performed(competition("a", pack="tournament")), settle)
    assert [len(board["entries_jsonb"]) for board in whole["leaderboards"]] == [len(MODELS)] * 2
    made = performed(competition("b", pack="tournament"))

    def die() -> None:
        with opened(made, MODELS) as runtime:
            runtime.resolve(windows_of(made))
            runtime.score(windows_of(made))
            os.kill(os.getpid(), signal.SIGKILL)

    worker = processes.Process(target=die)
    worker.start()
    worker.join(60)
    assert worker.exitcode == -signal.SIGKILL
    left = settled(made, None)
    assert (left["scores"], left["leaderboards"]) == (whole["scores"], [])

    def resume(runtime: Runtime, windows: list[Window]) -> None:
        runtime.aggregate(windows)
        runtime.rank(windows)
        assert rows(runtime, "select count(*) as n from leaderboards") == [{"n": 2}], "without a new score"

    assert settled(made, resume) == whole
    assert settled(made, settle) == whole, "settling all of it again changes nothing"


WORKERS: dict[str, tuple[Step, slice, slice]] = {
    "scoring the same windows": (Runtime.score, slice(0, 2), slice(0, 2)),
    "settling the same windows": (settle, slice(0, 2), slice(0, 2)),
    # As a live run and a batch do: what is asked at 00:55 and known at 01:10 is in both their windows.
    "settling neighbouring windows": (settle, slice(0, 1), slice(1, 2)),
}


@pytest.mark.parametrize("work", WORKERS)
def test_two_workers_score_the_same_forecasts(competition: Make, pack: WritePack, work: str) -> None:
    """Two workers score the same forecasts. Here the tables are those of one, and none dies of the other."""
    step, *parts = WORKERS[work]
    slots = {"scoring_function": f"{ODD_SLOTS}:score_by_note", "ground_truth_resolver": f"{ODD_SLOTS}:counted_truth"}
    made = [performed(competition(name, pack=pack(300, 900), **slots)) for name in "ab"]
    if step is Runtime.score:
        for one in made:
            settled(one, Runtime.resolve)
    alone = settled(made[0], step)
    barrier, failures = processes.Barrier(2), processes.SimpleQueue()
    workers = [processes.Process(target=_work, args=(made[1], step, part, barrier, failures)) for part in parts]
    for one in workers:
        one.start()
    for one in workers:
        one.join(60)
    failed = []
    while not failures.empty():
        failed.append(failures.get())
    assert len(failed) < 2, failed
    if step is Runtime.score:
        assert settled(made[1], None) == alone, "nothing twice, no wrong sum"
    assert settled(made[1], step) == alone, "nothing twice, no wrong sum"
    assert not [one for one in failed if "duplicate key" in one], "one died of the other, in the database's words"


def _work(competition: Competition, step: Step, part: slice, barrier: Barrier, failures: Any) -> None:
    """One worker: at its first score or truth it waits for the other, so that both have read what is open."""
    met = threading.Event()

    def meet() -> None:
        if not met.is_set():
            met.set()
            with suppress(threading.BrokenBarrierError):  # the other waits for a lock of ours: as good
                barrier.wait(2)

    odd_slots.meet = meet
    try:
        with opened(competition, MODELS) as runtime:
            step(runtime, windows_of(competition)[part])
    except Exception as error:
        failures.put(f"{type(error).__name__}: {error}")


def test_two_workers_score_the_same_forecasts_never_by_dagster(competition: Make) -> None:
    """Two workers score the same forecasts. One batch run of a competition at a time: the pool has one place."""
    made = competition()
    windowed = [made_of for asset in ASSETS if (made_of := asset(made)).key.path[-1] in WINDOWED]
    pools = {one.op.pool for one in windowed}
    assert len(windowed) == len(WINDOWED)
    assert pools == {f"{made.schema}_batch"}
    limits = yaml.safe_load((PROJECT / "dagster.yaml").read_text())["concurrency"]["pools"]
    assert limits == {"granularity": "run", "default_limit": 1}
