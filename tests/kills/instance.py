"""A `coordinator live` in a folder of its own, against a venue of its own: its processes, and what it says."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import httpx
import psutil

from coordinator_dagster.settings import Settings
from coordinator_dagster.store.embedded import stop_embedded
from slots.contracts import SLOT_NAMES
from tests.cli.serving import LOAD, answers, free_port, of_home, until
from tests.conftest import PROJECT

COORDINATOR = [sys.executable, "-c", "from coordinator_dagster.cli import main; main()"]
SERVICES = {"code server": "api grpc", "webserver": "dagster-webserver", "daemon": "dagster-daemon"}
SPEED = 5.0  # an instant of the pack `realtime` every 3 real seconds
START = os.environ.get("COORDINATOR_TEST_KILLS_START", "2023-03-23T12:05:00Z")
SCHEMA = "kills"
COMPETITION = {
    "COMPETITION": SCHEMA,
    "PACK": "realtime",
    "FEED_PROVIDER": "binance",
    "COMPETITION_START": "2023-03-23T12:00Z",
    "COMPETITION_END": "2023-03-24T10:00Z",
    "MODELS_DIR": str(PROJECT / "examples" / "models"),
}
ORPHANS_END_SECONDS = 10


class Venue:
    """The stand-in exchange as a process of its own; its clock runs SPEED times as fast as ours."""

    def __init__(self, tape: Path, log: Path, start: str = START) -> None:
        command = [sys.executable, "-m", "stand_in_exchange", "--port", "0", "--tape", str(tape), "--derive-ticks"]
        command += ["--start", start, "--speed", str(SPEED)]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        with log.open("w") as errors:
            self.process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=errors)
        assert self.process.stdout
        self.url = str(json.loads(self.process.stdout.readline())["url"])

    def now(self) -> str:
        """The venue's time, as ISO text."""
        return str(httpx.get(f"{self.url}/_control/clock").raise_for_status().json()["now"])

    def faults(self, **kinds: Any) -> None:
        httpx.post(f"{self.url}/_control/faults", json=kinds).raise_for_status()

    def injected(self, kind: str) -> int:
        """How often that fault has struck."""
        stats = httpx.get(f"{self.url}/_control/stats").raise_for_status().json()
        return int(stats["injected"].get(kind, 0))

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


class Instance:
    """`coordinator live` with the embedded PostgreSQL, started again as systemd would; `code` has our packages."""

    def __init__(self, home: Path, venue: Venue, code: Path = PROJECT) -> None:
        self.home, self.venue, self.port, self.log = home, venue, free_port(), home / "log"
        ours = {name.upper() for name in [*Settings.model_fields, *SLOT_NAMES, "DAGSTER_HOME", "DAGSTER_POSTGRES_URL"]}
        self.environment = {name: value for name, value in os.environ.items() if name.upper() not in ours}
        self.environment |= COMPETITION | {"COORDINATOR_HOME": str(home), "PYTHONPATH": str(code)}
        self.environment |= {"FEED_BASE_URL": venue.url, "CLOCK_URL": f"{venue.url}/_control/clock"}
        self.data = (home / ".coordinator" / "postgres").resolve()
        self.start()

    def start(self) -> None:
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [*COORDINATOR, "live", "--port", self.port],
                env=self.environment,
                cwd=self.home,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def serves(self) -> bool:
        """Whether the UI can load the definitions from the code server."""
        assert self.process.poll() is None, self.log.read_text()[-5000:]
        return answers(self.port, LOAD)

    def service(self, name: str) -> psutil.Process | None:
        """The process of that service, if it lives."""
        part = SERVICES[name]
        return next((one for one in of_home(self.home) if part in " ".join(command_of(one))), None)

    def postmaster(self) -> psutil.Process | None:
        """The embedded PostgreSQL, if it lives."""
        for one in psutil.process_iter():
            command = command_of(one)
            if str(self.data) in command and "-D" in command:
                return one
        return None

    def terminate(self, run_id: str) -> str:
        """*Terminate* in the UI; which kind of answer came."""
        question = f'mutation {{terminateRun(runId: "{run_id}") {{__typename ... on TerminateRunFailure {{message}}}}}}'
        body = json.dumps({"query": question}).encode()
        request = Request(f"http://127.0.0.1:{self.port}/graphql", body, {"Content-Type": "application/json"})
        with urlopen(request, timeout=30) as response:
            return str(response.read().decode())

    def audit(self) -> str:
        """What `coordinator audit` says; fails where it finds something."""
        done = subprocess.run(
            [*COORDINATOR, "audit"], env=self.environment, cwd=self.home, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"coordinator audit: {done.stdout}\n{done.stderr}"
        return done.stdout.strip().splitlines()[-1]

    def interrupt(self) -> float:
        """Ctrl-C; how many seconds it took."""
        self.process.send_signal(signal.SIGINT)
        return until(lambda: self.process.poll() is not None, 15)

    def end(self) -> None:
        """Leave nothing behind, whatever the state."""
        for one in with_children(of_home(self.home)):
            kill(one)
        stop_embedded(self.home)


def command_of(process: psutil.Process) -> list[str]:
    """Its command line, if it lives."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def with_children(processes: Sequence[psutil.Process]) -> list[psutil.Process]:
    """They and all below them, also those whose environment does not say whose they are: models."""
    found = dict[int, psutil.Process]()
    for one in processes:
        try:
            found |= {each.pid: each for each in [one, *one.children(recursive=True)]}
        except psutil.Error:
            continue
    return list(found.values())


def kill(process: psutil.Process) -> None:
    """kill -9, unless it has ended by itself."""
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return


def gone(processes: Sequence[psutil.Process]) -> None:
    """Wait until they have ended; fails with those that outlive the fault."""
    end = time.monotonic() + ORPHANS_END_SECONDS
    while left := [one for one in processes if _lives(one)]:
        assert time.monotonic() < end, f"processes were left behind: {[(one.pid, command_of(one)) for one in left]}"
        time.sleep(0.1)


def _lives(process: psutil.Process) -> bool:
    """A zombie that nobody reaps (a container without init) is dead."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
