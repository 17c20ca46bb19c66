"""The same competition through local processes and through gRPC nodes gives the same tables."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from standing_in import Standing

from coordinator_dagster.competition import Competition
from coordinator_dagster.errors import UserError
from coordinator_dagster.replay import replay
from coordinator_dagster.runtime import open_runtime
from tests.tables import settled_tables

EXAMPLES = Path(__file__).parents[2] / "examples" / "models"
DEPLOYMENT = {"deployment", "deployment_identifier"}  # a digest of the folder here, the orchestrator's name there
ODD = {
    "4": "    def predict(self, asset, horizon, step): return {'value': float('nan')}\n",
    "5": "    def predict(self, asset, horizon, step): return 'up'\n",
    "6": "    def predict(self, asset, horizon, step): return None\n",
}

Make = Callable[..., Competition]


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """The example models and some that answer oddly, under the ids that the stand-in gives."""
    folder = tmp_path / "models"
    for number, example in enumerate(sorted(EXAMPLES.iterdir()), 1):
        shutil.copytree(example, folder / str(number), ignore=shutil.ignore_patterns("__pycache__"))
    for name, predict in ODD.items():
        (folder / name).mkdir()
        head = "from slots.tracker import TrackerBase\nclass Model(TrackerBase):\n    def tick(self, data): pass\n"
        (folder / name / "main.py").write_text(head + predict)
    for one in folder.iterdir():
        about = f'name = "{one.name}"\nplayer_id = "wallet-{one.name}"\nplayer_name = "cruncher-{one.name}"\n'
        (one / "model.toml").write_text(about)
    return folder


def tables(competition: Competition) -> dict[str, list[dict[str, Any]]]:
    with open_runtime(competition) as runtime:
        windows = competition.windows.between(competition.start, competition.settings.competition_end)
        replay(runtime, windows, lambda done: None)
        found = settled_tables(runtime.store)
    return {
        table: sorted(({name: row[name] for name in row if name not in DEPLOYMENT} for row in rows), key=repr)
        for table, rows in found.items()
    }


@pytest.mark.parametrize("pack", ["baseline", "tournament"])
def test_local_and_grpc_give_the_same_tables(competition: Make, models: Path, pack: str) -> None:
    local = tables(competition("l", models_dir=models, pack=pack))
    standing = Standing(models)
    try:
        settings = {"model_runner": "grpc", "model_runner_node_port": standing.it.port, "crunch_id": "any"}
        remote = tables(competition("g", models_dir="/nonexistent", pack=pack, **settings))
    finally:
        standing.close()
    assert {name for name in local if local[name] != remote[name]} == set()
    statuses = {(row["model_id"], row["status"]) for row in remote["forecasts"]}
    odd = {(name, status) for name in ODD for status in ("FAILED", "SUSPENDED")}
    assert statuses == {(str(n), "SUCCESS") for n in range(1, 4)} | odd
    assert len(remote["leaderboards"]) > 0 and len(remote["scores"]) > 100


def test_a_replay_without_its_orchestrator_performs_nothing(competition: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coordinator_dagster.runners.grpc_runner.FIRST_SECONDS", 0.3)
    made = competition("g", model_runner="grpc", model_runner_node_port=1, crunch_id="any")
    with pytest.raises(UserError, match=r"ws://localhost:1/any cannot be reached: .*start the orchestrator"):
        tables(made)
    with open_runtime(made) as runtime:
        assert settled_tables(runtime.store)["cycles"] == []
