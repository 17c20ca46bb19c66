"""`coordinator dev` as a script starts it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from coordinator_dagster.store.embedded import stop_embedded
from tests.cli.serving import answers, free_port, of_home, until
from tests.conftest import PROJECT

COMMAND = [sys.executable, "-c", "from coordinator_dagster.cli import main; main()", "dev", "--port"]
IN_BACKGROUND = '"$@" & echo $!; wait'  # with SIGINT ignored, as in each script


@pytest.mark.ui
def test_an_interrupt_ends_it_in_the_background_of_a_script(tmp_path: Path) -> None:
    port = free_port()
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
        until(lambda: answers(port), 90)
        started = of_home(tmp_path)
        assert len(started) > 2, "the UI, the daemon and what began them"
        server.send_signal(signal.SIGINT)
        until(lambda: not of_home(tmp_path), 30)
    finally:
        for one in of_home(tmp_path):
            one.kill()
        stop_embedded(tmp_path)
        shell.communicate()
        print((tmp_path / "log").read_text())
