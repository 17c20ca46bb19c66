"""A running `coordinator dev`, asked through GraphQL as the UI asks."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import create_engine, text

from coordinator_dagster.settings import Settings
from coordinator_dagster.store.database import with_driver
from slots.contracts import SLOT_NAMES

PROJECT = Path(__file__).parents[1]


@dataclass
class Ui:
    """One competition in it, by its schema."""

    competition: str
    port: int
    location: str = "coordinator"

    def ask(self, query: str, **variables: Any) -> Any:
        """The answer's data; an error of GraphQL fails the test."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/graphql",
            json.dumps({"query": query, "variables": variables}).encode(),
            {"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                answer = json.load(response)
        except urllib.error.HTTPError as error:
            pytest.fail(f"{error}: {error.read().decode()}")
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    def key(self, asset: str) -> dict[str, list[str]]:
        return {"path": [self.competition, asset]}

    def launch_loop(self, window: str) -> str:
        """Launch the competition's loop for a window, as the launchpad does; the run's id."""
        return self.launch("loop", {"dagster/partition": window})

    def launch(self, job: str, tags: Mapping[str, str]) -> str:
        """Launch one of the competition's jobs; the run's id."""
        run = self.ask(
            """mutation($params: ExecutionParams!) {launchRun(executionParams: $params) {
                __typename ... on LaunchRunSuccess {run {runId}} ... on PythonError {message}
                ... on RunConfigValidationInvalid {errors {message}}
            }}""",
            params={
                "mode": "default",
                "runConfigData": {},
                "executionMetadata": {"tags": [{"key": key, "value": value} for key, value in tags.items()]},
                "selector": {
                    "repositoryName": "__repository__",
                    "repositoryLocationName": self.location,
                    "pipelineName": f"{self.competition}_{job}",
                },
            },
        )["launchRun"]
        assert run["__typename"] == "LaunchRunSuccess", run
        return str(run["run"]["runId"])

    def launch_backfill(self, windows: list[str]) -> str:
        """Launch a backfill of the loop, as the job's page does; from the asset graph it would be a run an asset."""
        launched = self.ask(
            """mutation($params: LaunchBackfillParams!) {launchPartitionBackfill(backfillParams: $params) {
                __typename ... on LaunchBackfillSuccess {backfillId} ... on PythonError {message}
            }}""",
            params={
                "selector": {
                    "partitionSetName": f"{self.competition}_loop_partition_set",
                    "repositorySelector": {
                        "repositoryName": "__repository__",
                        "repositoryLocationName": self.location,
                    },
                },
                "partitionNames": windows,
            },
        )["launchPartitionBackfill"]
        assert launched["__typename"] == "LaunchBackfillSuccess", launched
        return str(launched["backfillId"])

    def backfill(self, backfill: str) -> Any:
        return self.ask(
            """query($id: String!) {partitionBackfillOrError(backfillId: $id) {
                ... on PartitionBackfill {status runs(limit: 100) {id status} error {message}}
            }}""",
            id=backfill,
        )["partitionBackfillOrError"]

    def run(self, run: str) -> Any:
        return self.ask("query($id: ID!) {runOrError(runId: $id) {... on Run {status}}}", id=run)["runOrError"]

    def terminate(self, run: str) -> None:
        """*Terminate* on the run's page."""
        done = self.ask(
            "mutation($id: String!) {terminateRun(runId: $id) {__typename ... on TerminateRunFailure {message}}}",
            id=run,
        )["terminateRun"]
        assert done["__typename"] == "TerminateRunSuccess", done

    def runs(self) -> list[str]:
        """The ids of all runs in its Dagster."""
        found = self.ask("{runsOrError {... on Runs {results {runId}}}}")["runsOrError"]["results"]
        return [run["runId"] for run in found]


def environment(home: Path, **settings: Any) -> dict[str, str]:
    """This process's, without any setting of the project, and with these; no network, should one be asked."""
    ours = {name.upper() for name in [*Settings.model_fields, *SLOT_NAMES]} | {"DAGSTER_HOME", "DAGSTER_POSTGRES_URL"}
    kept = {name: value for name, value in os.environ.items() if name.upper() not in ours}
    given = {name.upper(): str(value) for name, value in settings.items()}
    return {**kept, "COORDINATOR_HOME": str(home), "PYTHONPATH": str(PROJECT), **given}


@contextmanager
def coordinator_dev(home: Path, settings: Mapping[str, str], seconds: float = 20) -> Iterator[int]:
    """`coordinator dev` in a folder, with this environment: its port, once its definitions are loaded.

    At the end Ctrl-C has to end all of it within so many `seconds`.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = home / "dev.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", "from coordinator_dagster.cli import main; main()", "dev", "--port", str(port)],
            cwd=home,
            env=settings,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # A shell's background jobs ignore Ctrl-C, and hand that down.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
    try:
        until(lambda: _answers(port, process, log), 120, "the webserver's GraphQL to answer")
        yield port
    finally:
        done = _end(process, seconds)
        # A code server waits for the processes of its runs, which end a little after their runs.
        left = psutil.wait_procs(_processes_of(home, process.pid), seconds)[1]
        for one in left:
            one.kill()
        print(log.read_text())
    assert done, f"Ctrl-C did not end `coordinator dev` within {seconds} s"
    assert not left, f"processes were left behind after {seconds} s: {left}"


def ended(state: Callable[[], Any]) -> Any:
    """A backfill's or a run's last state."""
    last: dict[str, Any] = {}

    def done() -> bool:
        last.update(state())
        return last["status"].startswith(("COMPLETED", "SUCCESS", "FAIL", "CANCEL"))

    until(done, 120, "it to end")
    return last


def until(done: Callable[[], bool], seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(0.3)


def sql(url: str, *statements: str) -> None:
    engine = create_engine(with_driver(url))
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


def _answers(port: int, process: subprocess.Popen[bytes], log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    try:
        loaded = Ui("", port).ask("{repositoriesOrError {... on RepositoryConnection {nodes {name}}}}")
    except OSError as error:
        # The UI's own words, should it answer and not work.
        assert getattr(error, "code", 0) != 500, log.read_text()[-3000:]
        return False
    return bool(loaded["repositoriesOrError"].get("nodes"))


def _end(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Ctrl-C, as a terminal sends it; True when that was enough."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
    try:
        process.wait(seconds)
        return True
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return False


def _processes_of(home: Path, session: int) -> list[psutil.Process]:
    """What is still alive of a session, or was started for this home."""
    found = []
    for one in psutil.process_iter():
        try:
            ours = os.getsid(one.pid) == session or one.environ().get("COORDINATOR_HOME") == str(home)
            if ours and one.status() != psutil.STATUS_ZOMBIE:
                found.append(one)
        except (psutil.Error, OSError):
            continue
    return found
