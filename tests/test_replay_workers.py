"""A replay by several workers: the same tables, and nothing of them is left, however it ends."""

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from coordinator_dagster.competition import Competition
from coordinator_dagster.errors import UserError, UserErrors
from coordinator_dagster.feeds.archive_files import BadFile
from coordinator_dagster.replay import replay
from coordinator_dagster.replay_workers import MOST, WORTH_IT, default_workers, started
from coordinator_dagster.runtime import Runtime, open_runtime
from coordinator_dagster.windows import Window
from slots.loader import SlotErrors, SlotFailure
from tests.tables import settled_tables

Make = Callable[..., Competition]
HOURS = {"competition_end": "2026-01-05T10:00Z"}
GONE_SECONDS = 10


def workers_of(pid: int) -> list[psutil.Process]:
    """The processes that it started, and theirs."""
    return psutil.Process(pid).children(recursive=True)


def test_several_workers_come_to_the_same_tables(competition: Make) -> None:
    tables = []
    for workers in (1, 2):
        made = competition(f"w{workers}", **HOURS)
        with open_runtime(made) as runtime:
            windows = made.windows.between(made.start, made.settings.competition_end)
            done: list[int] = []
            report = replay(runtime, windows, done.append, workers)
            assert (sum(done), report.windows, report.cycles) == (10, 10, 600)
            assert report.statuses == {"SUCCESS": 1800}
            tables.append(settled_tables(runtime.store))
    assert tables[0] == tables[1]


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="not every system has shares of processors")
def test_the_processors_are_shared_out_among_the_workers(competition: Make) -> None:
    made = competition(**HOURS)
    with open_runtime(made) as runtime, started(runtime, 2) as workers:
        windows = made.windows.between(made.start, made.settings.competition_end)
        shares = {one.result() for one in workers.do(share_of, windows)}
    assert frozenset().union(*shares) == os.sched_getaffinity(0)
    assert sum(map(len, shares)) == len(os.sched_getaffinity(0)) or len(os.sched_getaffinity(0)) == 1


def share_of(_runtime: Runtime, _windows: Sequence[Window]) -> frozenset[int]:
    time.sleep(0.5)  # the other worker, too, is to have some
    return frozenset(os.sched_getaffinity(0))


def test_what_a_slot_raises_in_a_worker_ends_the_replay_and_leaves_no_worker(competition: Make, tmp_path: Path) -> None:
    (tmp_path / "own_slots.py").write_text("def build_input(raw_input, now):\n    return {}[now.hour]\n")
    made = competition(inference_input_builder="own_slots:build_input", **HOURS)
    windows = made.windows.between(made.start, made.settings.competition_end)
    before = {one.pid for one in workers_of(os.getpid())}
    with open_runtime(made) as runtime, pytest.raises(SlotFailure, match=r"KeyError: 0 \(own_slots.py:2\)"):
        replay(runtime, windows, lambda done: None, 2)
    left = {one.pid: one.cmdline() for one in workers_of(os.getpid()) if one.pid not in before}
    assert not [one for one in left.values() if "confined.zygote" in " ".join(one)], left


def test_workers_and_their_models_end_with_a_replay_that_is_killed(competition: Make, tmp_path: Path) -> None:
    made = competition(competition_end="2026-03-05T00:00Z")
    command = "from coordinator_dagster.cli import app; app()"
    options = ["replay", "--to", "2026-03-05T00:00Z", "--workers", "2"]
    log = tmp_path / "log"
    with log.open("w") as out:
        running = subprocess.Popen([sys.executable, "-c", command, *options], stdout=out, stderr=out)
    started: list[psutil.Process] = []
    until = time.monotonic() + 60
    while sum("confined.zygote" in " ".join(one.cmdline()) for one in started) < 2:
        assert time.monotonic() < until and running.poll() is None, log.read_text()
        time.sleep(0.1)
        started = workers_of(running.pid)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    _, alive = psutil.wait_procs(started, GONE_SECONDS)
    assert not alive, [one.cmdline() for one in alive]
    two = made.windows.between(made.start, made.start + timedelta(hours=2))
    with open_runtime(made) as runtime:  # and another one goes on
        replay(runtime, two, lambda done: None)
        (count,) = runtime.store.database.read(
            "select count(*) as n from cycles where performed_at < :end and status = 'PERFORMED'", end=two[-1].end
        )
    assert count.n == 120


def test_there_is_a_worker_for_a_processor_where_it_is_worth_its_start(
    competition: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coordinator_dagster.replay_workers._processors", lambda: list(range(4)))
    made = competition()
    assert [default_workers(made, n) for n in (1, 2 * WORTH_IT - 1, 2 * WORTH_IT, 9999)] == [1, 1, 2, 4]
    monkeypatch.setattr("coordinator_dagster.replay_workers._processors", lambda: list(range(400)))
    assert default_workers(made, 9999) == MOST
    assert default_workers(competition(model_runner="grpc"), 9999) == 1


@pytest.mark.parametrize(
    "error", [UserErrors(["a", "b"]), SlotErrors(["a", "b"]), BadFile(Path("x"), "is empty"), SlotFailure("s: wrong")]
)
def test_errors_come_back_from_a_worker_with_what_they_say(error: Exception) -> None:
    back = pickle.loads(pickle.dumps(error))
    assert str(back) == str(error)
    assert isinstance(back, UserError) == isinstance(error, UserError)
    assert getattr(back, "faults", None) == getattr(error, "faults", None)
