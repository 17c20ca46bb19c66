"""A live competition over gRPC: a model joins, another leaves, the orchestrator goes away between two runs."""

import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from standing_in import Standing, write

from coordinator_dagster.competition import Competition
from coordinator_dagster.runners import grpc_runner
from coordinator_dagster.runtime import open_runtime
from slots.market import utc
from tests.live.running import run_simulated

START, MINUTE = utc("2026-01-05T00:00Z"), timedelta(minutes=1)
SPEED = 30  # a minute is two real seconds
ANSWERS = (
    "from slots.tracker import TrackerBase\nclass M(TrackerBase):\n    def tick(self, data): pass\n"
    "    def predict(self, asset, horizon, step): return {'value': 0.001}\n"
)


def forecasts(made: Competition) -> list[Any]:
    with open_runtime(made) as runtime:
        sql = (
            "select performed_at, m.name, f.status, f.meta_jsonb->>'reason' as reason, f.deployment, f.elapsed "
            "from (select *, extract(epoch from answered_at - asked_at) as elapsed from forecasts) f "
            "join models m on m.id = f.model_id order by 1, 2"
        )
        return list(runtime.store.database.read(sql))


def test_a_live_competition_over_grpc(
    competition: Callable[..., Competition], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grpc_runner, "FIRST_SECONDS", 0.5)
    standing = Standing(write(tmp_path / "models", leaver=ANSWERS, newcomer=ANSWERS, stayer=ANSWERS))
    try:
        standing.stop("newcomer")
        there = {"model_runner": "grpc", "model_runner_node_port": standing.it.port, "crunch_id": "any"}
        made = competition(mode="live", competition_end="2026-01-05T03:00Z", **there)
        changes = [
            threading.Timer(3.0, standing.start, ["newcomer"]),
            threading.Timer(7.0, standing.stop, ["leaver"]),
        ]
        for one in changes:
            one.start()
        run_simulated(made, START - MINUTE, START + 4.5 * MINUTE, SPEED)
        standing.go_away()
        run_simulated(made, START + 6.5 * MINUTE, START + 8.5 * MINUTE, SPEED)
    finally:
        standing.close()
    found = forecasts(made)
    seen = {
        name: [((row.performed_at - START) / MINUTE, row.status) for row in found if row.name == name]
        for name in ("leaver", "newcomer", "stayer")
    }
    away = [(7.0, "PLATFORM_FAULT"), (8.0, "PLATFORM_FAULT")]
    assert seen["stayer"] == [(n, "SUCCESS") for n in range(5)] + away
    assert seen["newcomer"][0][0] in (1, 2) and {status for _, status in seen["newcomer"][:-2]} == {"SUCCESS"}
    assert seen["newcomer"][-2:] == away
    answered = [status for _, status in seen["leaver"][:5]]
    assert answered == ["SUCCESS"] * 3 + ["ABSENT"] * 2 and seen["leaver"][5:] == away
    assert all(row.elapsed < 15 for row in found if row.status == "SUCCESS"), "in the competition's seconds"
    assert {row.deployment for row in found if row.name == "stayer"} == {standing.it.deployments["3"].deployment_id}
