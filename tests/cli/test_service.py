"""`coordinator service`: what each becomes, and what it waits for."""

import os
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pytest
import tenacity
import yaml

from coordinator_dagster.cli import service as command
from coordinator_dagster.competition import Competition
from tests.cli.serving import free_port

Type = Callable[..., tuple[int, str, str]]


@pytest.fixture
def become(type_in: Type, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Types `coordinator service …`; the command line that it becomes."""

    def become_(*arguments: str) -> list[str]:
        became = mock.Mock(side_effect=SystemExit(0))
        monkeypatch.setattr(os, "execv", became)
        code, _, errors = type_in("service", *arguments)
        assert code == 0, errors
        return list(became.call_args.args[1])

    return become_


def test_each_becomes_one_of_dagster_s(
    become: Callable[..., list[str]], competition: Callable[..., Competition]
) -> None:
    home, port = competition().home, free_port()
    code = become("code", "--host", "127.0.0.1", "--port", port)
    assert [Path(code[0]).name, *code[1:]] == [
        *("dagster", "api", "grpc", "-h", "127.0.0.1", "-p", port, "-m", "coordinator_dagster.definitions")
    ]
    assert os.environ["DAGSTER_HOME"] == str(home / ".coordinator" / "dagster")
    daemon = become("daemon", "--code", "code-green:4000")
    webserver = become("webserver", "--code", "code-green:4000", "--port", port, "--read-only")
    assert Path(webserver[0]).name == "dagster-webserver" and webserver[-1] == "--read-only"
    for line in (daemon, webserver):
        (location,) = yaml.safe_load(Path(line[line.index("-w") + 1]).read_text())["load_from"]
        assert location == {"grpc_server": {"host": "code-green", "port": 4000, "location_name": "coordinator"}}


def test_it_waits_for_the_database(
    become: Callable[..., list[str]], competition: Callable[..., Competition], monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture, database_url: str,
) -> None:  # fmt: skip
    competition(database_url="postgresql://somebody:hunter2secret@127.0.0.1:1/nowhere")
    waited = []

    def server_starts(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 3:
            monkeypatch.setenv("DATABASE_URL", database_url)

    monkeypatch.setattr(tenacity.nap.time, "sleep", server_starts)
    assert "run" in become("daemon")
    assert waited == [1, 2, 4]
    said = [one.getMessage() for one in caplog.records if one.name == "coordinator"]
    assert len(said) == 3 and "the database does not answer, trying again in 1 s: connection to server" in said[0]
    assert "hunter2secret" not in "".join(said)


def test_every_fault_is_said_at_once(
    type_in: Type, competition: Callable[..., Competition], monkeypatch: pytest.MonkeyPatch
) -> None:
    competition(feed_kind="tick")
    monkeypatch.delenv("DATABASE_URL")
    monkeypatch.delenv("COMPETITION_START")
    code, _, errors = type_in("service", "webserver", "--code", "green")
    assert code == 1
    assert "--code=green: write host:port, such as code:4000" in errors
    assert "COMPETITION_START is not set" in errors and "FEED_KIND=tick: the pack baseline needs" in errors
    assert "DATABASE_URL is not set; services share a PostgreSQL server" in errors


def test_a_port_is_a_number(type_in: Type, competition: Callable[..., Competition]) -> None:
    competition()
    for wrong in ("code:", "code:0", "code:65536", ":4000", "code:web"):
        assert f"--code={wrong}: write host:port" in type_in("service", "daemon", "--code", wrong)[2]


assert command
