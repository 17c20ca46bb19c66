"""`coordinator status` and `coordinator metrics` as they are typed."""

import json
import os
import signal
import subprocess
from collections.abc import Callable

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from coordinator_dagster.competition import Competition
from tests.cli.serving import free_port, until
from tests.cli.test_cli import COMMAND
from tests.original_faults.world import always, opened, perform, settle, windows_of

Make = Callable[..., Competition]
Typed = Callable[..., tuple[int, str, str]]


def test_a_competition_that_has_not_begun(competition: Make, type_in: Typed) -> None:
    competition()
    code, said, _ = type_in("status")
    assert code == 0 and "is healthy" in said and "`coordinator replay` or `coordinator demo` begins it" in said
    competition(mode="live")
    code, said, _ = type_in("status")
    assert code == 1 and "is not healthy" in said.splitlines()[0]
    assert "→ `coordinator live` begins it" in said
    competition(mode="live", competition_start="2126-01-05T00:00Z", competition_end="2126-01-06T00:00Z")
    code, said, _ = type_in("status")
    assert code == 0 and "it begins at 2126-01-05 00:00 UTC" in said


def test_a_replay_and_the_same_as_json(competition: Make, type_in: Typed) -> None:
    made = competition(competition_end="2026-01-05T01:00Z")
    with opened(made, {"a": always(0.001)}) as runtime:
        perform(runtime, windows_of(made))
        settle(runtime, windows_of(made))
    code, said, _ = type_in("status")
    assert code == 0 and "1 active" in said and "at work" not in said and "last hour 60 performed" in said
    code, said, _ = type_in("status", "--json")
    found = json.loads(said)
    assert code == 0 and found["healthy"] is True and found["findings"] == []
    assert found["readings"]["contest"]["every"]["performed"] == 60
    assert (found["competition"], found["mode"]) == (made.settings.competition, "replay")
    assert "S3CRET" not in said


def test_a_database_that_is_away(competition: Make, type_in: Typed) -> None:
    competition(mode="live", database_url="postgresql://root:S3CRET@127.0.0.1:9/x")
    code, said, errors = type_in("status")
    assert code == 1 and "it cannot be read" in said and "S3CRET" not in said + errors
    code, said, _ = type_in("status", "--json")
    assert code == 1 and json.loads(said)["findings"][0]["what"] == "database" and "S3CRET" not in said
    competition(mode="live", database_url="")
    code, said, _ = type_in("status")
    assert code == 1 and "the embedded PostgreSQL of this folder does not run" in said


def test_tables_of_another_version(competition: Make, type_in: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(competition(), {}):
        pass
    monkeypatch.setattr("coordinator_dagster.health.look.newest_revision", lambda: "another")
    code, said, _ = type_in("status")
    assert code == 1 and "the tables are of another version" in said


def test_metrics_are_served_until_it_is_ended(competition: Make) -> None:
    made = competition(mode="live", competition_end="2026-12-31T00:00Z", log_format="json")
    with opened(made, {}):
        pass
    port = free_port()
    server = subprocess.Popen([*COMMAND, "metrics", "--port", port], env=os.environ, stderr=subprocess.PIPE, text=True)
    try:
        until(lambda: _scraped(port) is not None, 20)
        found = _scraped(port)
        assert found and found["coordinator_up"] == 1 and found["coordinator_healthy"] == 0
        assert found["coordinator_live_run_due"] == 1 and found["coordinator_live_runs"] == 0
    finally:
        server.send_signal(signal.SIGTERM)
        _, said = server.communicate(timeout=10)
    assert server.returncode == 0
    assert f"metrics: http://127.0.0.1:{port}/metrics" in json.loads(said)["event"]


def _scraped(port: str) -> dict[str, float] | None:
    try:
        text = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text
    except httpx.TransportError:
        return None
    return {one.name: one.value for family in text_string_to_metric_families(text) for one in family.samples}
