"""`coordinator dev` as a script starts it."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from coordinator_dagster.store.embedded import stop_embedded
from tests.conftest import PROJECT

COMMAND = [sys.executable, "-c", "from coordinator_dagster.cli import main; main()", "dev", "--port"]
IN_BACKGROUND = '"$@" & echo $!; wait'  # with SIGINT ignored, as in each script


@pytest.mark.ui
def test_an_interrupt_ends_it_in_the_background_of_a_script(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    settings = {"COORDINATOR_HOME": str(tmp_path), "PYTHONPATH": str(PROJECT)}
    with (tmp_path / "log").open("w") as log:
        shell = subprocess.Popen(
            ["sh", "-c", IN_BACKGROUND, "sh", *COMMAND, port],
            env=os.environ | settings,
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    assert shell.stdout
    server = psutil.Process(int(shell.stdout.readline()))
    try:
        _until(lambda: _answers(port), 90)
        started = _of_home(tmp_path)
        assert len(started) > 2, "the UI, the daemon and what began them"
        server.send_signal(signal.SIGINT)
        _until(lambda: not _of_home(tmp_path), 30)
    finally:
        for one in _of_home(tmp_path):
            one.kill()
        stop_embedded(tmp_path)
        shell.communicate()
        print((tmp_path / "log").read_text())


def _of_home(home: Path) -> list[psutil.Process]:
    """The live processes that were started for this home, but its database, which stays."""
    found = []
    for one in psutil.process_iter():
        try:
            ours = one.environ().get("COORDINATOR_HOME") == str(home)
            if ours and one.name() not in ("postgres", "sh") and one.status() != psutil.STATUS_ZOMBIE:
                found.append(one)
        except psutil.Error:
            continue
    return found


def _answers(port: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/server_info", timeout=5) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def _until(done: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, f"still waiting after {seconds} s"
        time.sleep(0.3)
