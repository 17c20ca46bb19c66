"""What `coordinator live` supervises with: pauses, runs that do not end, and the systemd unit around it."""

import os
import shlex
import signal
import subprocess
import sys
import time
from configparser import ConfigParser
from contextlib import nullcontext
from pathlib import Path

import dagster as dg
import pytest
import typer
from dagster._core.events import EngineEventData

from coordinator_dagster.cli import app
from coordinator_dagster.live_processes import MARK, end_runs
from coordinator_dagster.supervisor import (
    DAEMON_ENDS_SECONDS,
    LONGEST_PAUSE_SECONDS,
    RUNS_END_SECONDS,
    SERVICES_END_SECONDS,
    STEADY_SECONDS,
    Kept,
)
from tests.conftest import PROJECT


class Dead(Kept):
    """Never runs, and cannot even be started."""

    def runs(self) -> bool:
        return False

    def start(self) -> None:
        raise OSError("no memory")


def test_who_ends_at_once_waits_longer_each_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    now, dead, pauses = 1000.0, Dead("dead", needs=tmp_path), []
    monkeypatch.setattr(time, "monotonic", lambda: now)
    for _ in range(7):
        dead.keep()  # starts
        now += 1
        dead.keep()  # has ended
        pauses.append(dead.pause)
        now += dead.pause
    assert pauses == [1, 2, 4, 8, 16, LONGEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS]
    dead.keep()
    now += STEADY_SECONDS + 1
    dead.keep()
    assert dead.pause == 0


def test_a_run_that_does_not_end_when_asked_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deaf = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); print(flush=True); time.sleep(60)"
    environment = os.environ | {MARK: str(tmp_path)}
    with (
        dg.DagsterInstance.ephemeral() as instance,
        subprocess.Popen(
            [sys.executable, "-c", deaf, "--multiprocessing-fork"], env=environment, stdout=subprocess.PIPE
        ) as worker,
    ):
        monkeypatch.setattr(dg.DagsterInstance, "get", lambda: nullcontext(instance))
        assert worker.stdout and worker.stdout.readline()
        run = instance.create_run_for_job(EMPTY, status=dg.DagsterRunStatus.STARTED)
        instance.report_engine_event("Started process for run", run, EngineEventData.in_process(worker.pid))
        end_runs(tmp_path, 0.5)
        assert worker.wait(5) == -signal.SIGKILL
        ended = instance.get_run_by_id(run.run_id)
        assert ended and ended.status is dg.DagsterRunStatus.CANCELED


@dg.job
def EMPTY() -> None:
    """Nothing to do."""


def test_the_systemd_unit_starts_a_command_that_there_is_and_starts_it_again() -> None:
    unit = ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(PROJECT / "docker" / "coordinator.service")
    service = unit["Service"]
    program, name, *options = shlex.split(service["ExecStart"])
    assert Path(program).name == "coordinator"
    command = typer.main.get_command(app).get_command(None, name)
    assert command is not None
    assert set(options[::2]) <= {option for parameter in command.params for option in parameter.opts}
    assert [service["Restart"], service["KillMode"]] == ["always", "process"]
    assert shlex.split(service["ExecReload"])[1:] == ["-USR2", "$MAINPID"], "which it takes for: begin anew"
    assert service["User"] != "root"
    assert int(service["TimeoutStopSec"]) > DAEMON_ENDS_SECONDS + RUNS_END_SECONDS + SERVICES_END_SECONDS
