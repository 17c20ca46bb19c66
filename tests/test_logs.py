"""What processes write. LOG_FORMAT=json: one JSON object a line, with where it was, and nothing secret."""

import io
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import make_url

from coordinator_dagster.competition import Competition
from coordinator_dagster.launcher import CodeServer, dagster_dev_command, service_commands
from coordinator_dagster.logs import json_formatter, log_within_dagster
from tests.cli.serving import free_port, until
from tests.cli.test_cli import COMMAND

Make = Callable[..., Competition]
HOOK = "http://127.0.0.1:9/T0P-S3CRET-HOOK"
WINDOW = "2026-01-05-00:00"
# A run in this process and a sensor, as Dagster's processes have them, each with something that fails.
RUN = f"""
import dagster as dg, logging
from coordinator_dagster.code_location import build_definitions
from coordinator_dagster.competition import read_competition
from coordinator_dagster import webhook
webhook._send.retry.wait = lambda _: 0
made = read_competition()
definitions = build_definitions(made)
with dg.DagsterInstance.ephemeral() as instance:
    job = definitions.resolve_job_def(made.schema + "_loop")
    job.execute_in_process(instance=instance, partition_key="{WINDOW}", raise_on_error=False)
logging.getLogger("coordinator_dagster.feeds.x").warning("model %s", "m", extra={{"model": "m"}})
logging.getLogger("somebody.else").error("%s", made.settings.database_url.get_secret_value())
try:
    webhook.post(made.settings.failure_webhook_url, "a text")
except Exception:
    logging.getLogger("coordinator").exception("not posted")
"""

# A run that ends by an error; an interruption is raised to who called, as the process that has the run ends by it.
ENDING = """
import dagster as dg
from coordinator_dagster.code_location import build_definitions
from coordinator_dagster.competition import read_competition
build_definitions(read_competition())
@dg.op
def ends():
    raise {}
@dg.job
def ending():
    ends()
try:
    ending.execute_in_process(raise_on_error=False)
except dg.DagsterExecutionInterruptedError:
    pass
"""


def lines(text: str) -> list[dict[str, Any]]:
    """Each line as the object that it is."""
    return [json.loads(line) for line in text.splitlines()]


def record(message: str, *arguments: object, error: Any = None, **extra: Any) -> logging.LogRecord:
    made = logging.LogRecord("coordinator.x", logging.WARNING, "x.py", 1, message, arguments, error)
    vars(made).update(extra)
    return made


def test_a_line_says_when_how_bad_where_and_what(competition: Make) -> None:
    made = competition(log_format="json")
    form = json_formatter(made).format
    found = json.loads(form(record("a %s\nin two lines", "text", window=WINDOW, run="r", model="m", other="no")))
    assert found.pop("timestamp").endswith("Z")
    assert found == {
        "level": "warning",
        "logger": "coordinator.x",
        "event": "a text\nin two lines",
        "competition": made.settings.competition,
        "window": WINDOW,
        "run": "r",
        "model": "m",
    }
    try:
        raise ValueError("it broke")
    except ValueError:
        found = json.loads(form(record("so", error=sys.exc_info())))
    assert "Traceback" in found["exception"] and found["exception"].endswith("ValueError: it broke")


def test_what_is_secret_is_hidden_wherever_it_comes_from(competition: Make) -> None:
    url = 'postgresql://root:pass"w\\ord@127.0.0.1:9/x'
    made = competition(database_url=url, failure_webhook_url=HOOK, feed_api_key="K3Y-OF-PYTH")
    form = json_formatter(made).format
    for secret in (url, 'pass"w\\ord', HOOK, "K3Y-OF-PYTH"):
        line = form(record("it is %s", f"<{secret}>"))
        assert json.loads(line)["event"] == "it is <(hidden)>"


def test_runs_and_sensors_of_dagster_write_it_too(competition: Make, database_url: str) -> None:
    made = competition(raw_input_provider="nowhere:function", log_format="json", failure_webhook_url=HOOK)
    done = subprocess.run([sys.executable, "-c", RUN], env=os.environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found = lines(done.stdout + done.stderr)
    of_run = [one for one in found if one["logger"] == "dagster"]
    assert {(one["competition"], one["window"], one["job"]) for one in of_run} == {
        (made.settings.competition, WINDOW, f"{made.schema}_loop")
    }
    assert all(one["run"] for one in of_run) and any("step" in one for one in of_run)
    assert any(one["level"] == "error" and "RAW_INPUT_PROVIDER" in json.dumps(one) for one in of_run)
    [own] = [one for one in found if one["logger"] == "coordinator_dagster.feeds.x"]
    assert (own["event"], own["model"]) == ("model m", "m")
    [other] = [one for one in found if one["logger"] == "somebody.else"]
    assert other["event"] == "(hidden)"
    [failed] = [one for one in found if one["logger"] == "coordinator"]
    assert "NotPosted" in failed["exception"]
    assert "S3CRET" not in done.stdout + done.stderr
    assert f":{make_url(database_url).password}@" not in done.stdout + done.stderr


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_handler_may_be_added_again_and_again(competition: Make, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging, "_loggerClass", logging.Logger)  # back to it afterwards
    monkeypatch.setattr(logging, "lastResort", None)
    made, said = competition(log_format=form), io.StringIO()
    handler = logging.StreamHandler(said)
    for number in range(2000):
        if number % 100 == 0:
            log_within_dagster(made)
        logger = logging.getLoggerClass()(f"x{number}")
        logger.addHandler(handler)
    logger.error("it is said")
    assert said.getvalue().count("it is said") == 1


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_run_that_was_asked_to_end_shows_no_traceback(competition: Make, form: str) -> None:
    competition(log_format=form)
    said = []
    for error in ("dg.DagsterExecutionInterruptedError", "ValueError"):
        done = subprocess.run(
            [sys.executable, "-c", ENDING.format(error)], env=os.environ, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        said.append(done.stdout + done.stderr)
    asked, broke = said
    assert "Execution was interrupted" in asked and "Stack Trace" not in asked, asked
    assert "Stack Trace" in broke and "ValueError" in broke, broke


def test_the_report_writes_nothing_else(competition: Make, tmp_path: Path) -> None:
    competition(log_format="json")
    port, said = free_port(), tmp_path / "said"
    command = [*COMMAND, "report", "--port", port, "--access-log"]
    with said.open("w") as file:
        server = subprocess.Popen(command, env=os.environ, stdout=file, stderr=file)
    try:
        until(lambda: _answers(f"http://127.0.0.1:{port}/readyz"), 20)
    finally:
        server.send_signal(signal.SIGINT)
        assert server.wait(10) in (0, -signal.SIGINT), said.read_text()
    found = lines(said.read_text())
    assert port in found[0]["event"] and found[0]["logger"] == "coordinator"
    assert [one for one in found if one["logger"] == "uvicorn.access" and "/readyz" in one["event"]]


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=10).status_code == 200
    except httpx.TransportError:
        return False


def test_errors_for_people_stay_text(competition: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    competition(log_format="json")
    monkeypatch.setenv("PACK", "no-such-pack")
    done = subprocess.run([*COMMAND, "metrics"], env=os.environ, capture_output=True, text=True, timeout=30)
    assert done.returncode == 1 and done.stderr.startswith("error: ") and not done.stdout


def test_services_of_dagster_are_asked_for_it(competition: Make) -> None:
    for form, asked in (("text", False), ("json", True)):
        made = competition(log_format=form)
        services = service_commands(made, CodeServer(socket=Path("/run/code")), "127.0.0.1", 3000)
        commands = [services.code_server, services.webserver, services.daemon]
        for command in [*commands, dagster_dev_command(made, "127.0.0.1", 3000)]:
            assert (list(command[-2:]) == ["--log-format", "json"]) == asked
