"""Models that are submitted while the contest is live: at the next cycle, and history keeps who answered."""

import shutil
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from coordinator_dagster.audit import audit
from coordinator_dagster.competition import Competition
from coordinator_dagster.live.leasing import WORK
from coordinator_dagster.runners.folders import discover
from coordinator_dagster.runtime import Runtime, open_runtime
from slots.market import utc
from tests.live.running import run_simulated

START = utc("2026-01-05T00:00Z")
MINUTE = timedelta(minutes=1)
EARLY = START - 4 * MINUTE  # eight real seconds, for the models to start on a slow machine too
SPEED = 30  # a cycle every two seconds: a model has one to start in
ANSWERS = """from slots.tracker import TrackerBase
class Model(TrackerBase):
    def tick(self, data): pass
    def predict(self, asset, horizon, step): return {'value': 0.001}
"""
CHANGED = ANSWERS.replace("0.001", "0.002")

Make = Callable[..., Competition]
Folder = Callable[[str, str], Path]


def now(folder: Path) -> dict[str, str]:
    """The deployments in the folder of models."""
    return {id_: info.deployment for id_, (info, _) in discover(folder)[0].items()}


def when_cut_off(minute: int, what: Callable[[], object]) -> Callable[[Runtime], None]:
    """Something happens once, while that minute's instant is performed."""

    def prepare(runtime: Runtime) -> None:
        real, done = runtime.store.tape.held, list[bool]()

        def held() -> Any:
            if not done and START + minute * MINUTE <= runtime.clock.now() < START + (minute + 1) * MINUTE:
                done.append(True)
                what()
            return real()

        runtime.store.tape.held = held  # type: ignore[method-assign]

    return prepare


def stored(made: Competition, sql: str) -> list[Any]:
    with open_runtime(made) as runtime:
        return list(runtime.store.database.read(sql))


def answers(made: Competition) -> dict[str, list[tuple[str, str | None]]]:
    """Status (and why, where the fault is ours) and deployment of each model, minute by minute."""
    found: dict[str, list[tuple[str, str | None]]] = {}
    for row in stored(made, "select * from forecasts order by performed_at, model_id"):
        status = f"{row.status}: {row.meta_jsonb['reason']}" if row.status == "PLATFORM_FAULT" else row.status
        found.setdefault(row.model_id, []).append((status, row.deployment))
    return found


def test_what_is_submitted_while_a_cycle_runs_counts_from_the_next_one_on(
    competition: Make, model_folder: Folder
) -> None:
    folder = model_folder("changes", ANSWERS)
    model_folder("goes", ANSWERS)
    made = competition(mode="live", models_dir=folder)
    old = now(folder)

    def submit() -> None:
        model_folder("changes", CHANGED)
        model_folder("comes", ANSWERS)
        shutil.rmtree(folder / "goes")

    tell = run_simulated(made, EARLY, START + 4.9 * MINUTE, SPEED, when_cut_off(2, submit))
    new, found = now(folder), answers(made)
    assert tell.problems == [] and new["changes"] != old["changes"]
    assert found["changes"] == [("SUCCESS", old["changes"])] * 3 + [("SUCCESS", new["changes"])] * 2
    assert found["comes"] == [("SUCCESS", new["comes"])] * 2, "it owes nothing before"
    assert found["goes"] == [("SUCCESS", old["goes"])] * 3 + [("ABSENT", old["goes"])] * 2
    known = {row.id: row.deployment_identifier for row in stored(made, "select * from models")}
    assert known == {**old, **new}
    with open_runtime(made) as runtime:
        assert audit(runtime.store.database, START + 5 * MINUTE) == []


def test_a_new_model_is_stored_though_the_database_was_away_when_it_came(
    competition: Make, model_folder: Folder
) -> None:
    folder = model_folder("stays", ANSWERS)
    made = competition(mode="live", models_dir=folder)

    def prepare(runtime: Runtime) -> None:
        real, failed = runtime.store.cycles.sync_models, list[bool]()

        def sync(models: Any) -> None:
            if len(models) == 2 and not failed:
                failed.append(True)
                raise OperationalError("select", {}, Exception("server closed the connection"))
            real(models)

        runtime.store.cycles.sync_models = sync  # type: ignore[method-assign]
        when_cut_off(1, lambda: model_folder("comes", ANSWERS))(runtime)

    tell = run_simulated(made, EARLY, START + 3.9 * MINUTE, SPEED, prepare)
    assert ["the database is away" in problem for problem in tell.problems] == [True]
    assert [status for status, _ in answers(made)["comes"]] == ["SUCCESS"] * 2


def test_a_run_that_takes_over_asks_what_was_submitted_while_it_waited(competition: Make, model_folder: Folder) -> None:
    folder = model_folder("changes", ANSWERS)
    made = competition(mode="live", models_dir=folder)
    warm: list[str] = []

    def prepare(runtime: Runtime) -> None:
        leases = runtime.store.leases
        assert leases.take(WORK, "another")

        def submit() -> None:
            rows = runtime.store.database.read("select deployment_identifier as deployment from models")
            warm.extend(row.deployment for row in rows)
            model_folder("changes", CHANGED)
            leases.release(WORK, "another", {})

        threading.Timer(4, submit).start()

    old = now(folder)
    run_simulated(made, START + 0.5 * MINUTE, START + 5.9 * MINUTE, SPEED, prepare)
    assert warm == [old["changes"]], "its models had been started"
    found = {deployment for _, deployment in answers(made)["changes"]}
    assert found == {now(folder)["changes"]} != {old["changes"]}


def test_between_instants_that_are_far_apart_a_model_need_not_wait_for_one(
    competition: Make, model_folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes well before an instant is asked at it, though nothing was performed since."""
    monkeypatch.setattr("coordinator_dagster.live.cycles.LOOK_SECONDS", 0.3)
    folder = model_folder("early", ANSWERS)
    made = competition(mode="live", models_dir=folder)
    known: list[str] = []

    def prepare(runtime: Runtime) -> None:
        def submit() -> None:
            known.extend(row.id for row in runtime.store.database.read("select id from models"))
            model_folder("comes", ANSWERS)

        threading.Timer(3, submit).start()

    run_simulated(made, START - timedelta(seconds=6), START + timedelta(seconds=2), 1, prepare)
    assert known == ["early"], "the run had been at work by then"
    assert [status for status, _ in answers(made)["comes"]] == ["SUCCESS"]


@pytest.mark.parametrize("mode", ["live", "replay"])
def test_a_bad_folder_keeps_nobody_from_being_asked_live(competition: Make, model_folder: Folder, mode: str) -> None:
    folder = model_folder("good", ANSWERS)
    (folder / "bad").mkdir()
    made = competition(mode=mode, models_dir=folder)
    with open_runtime(made) as runtime:
        if mode == "live":
            assert [one.id for one in runtime.runner.models()] == ["good"]
        else:
            with pytest.raises(Exception, match="bad: it has no"):
                _ = runtime.runner
