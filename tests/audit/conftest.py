"""A small competition that keeps every rule, with something for every check to look at."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from coordinator_dagster.competition import read_competition
from coordinator_dagster.packs import available_packs
from coordinator_dagster.replay import replay
from coordinator_dagster.runtime import Runtime, open_runtime
from coordinator_dagster.store.database import with_driver

MODEL = """from slots.tracker import TrackerBase
class Model(TrackerBase):
    def tick(self, data):
        self.at, self.candles = data["asof_ts"], data["candles_1m"]
    def predict(self, asset, horizon, step):
        third = self.at % 1200 == 0
        return {"value": ANSWER}
"""
# Two that tie, one that moves, one that fails at times, one that nearly always does, one that always does, and one
# who is expelled.
ANSWERS = {
    "even": "0.0001",
    "level": "0.0001",
    "trend": "self.candles[-1]['close'] / self.candles[-2]['close'] - 1",
    "moody": "1 / 0 if third else 0.0002",
    "shy": "-0.0001 if third else 1 / 0",
    "expelled": "0.0003",
    "relentless": "1 / 0",
}


@dataclass(frozen=True)
class Clean:
    """A replayed competition: its schema and settings, and the runtime over it."""

    settings: dict[str, str]
    runtime: Runtime

    @property
    def now(self) -> datetime:
        return self.runtime.clock.now()


@pytest.fixture(scope="module")
def clean(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clean]:
    """Four hours of a tournament: through the outage of 2023-03-24 where there is a tape, else simulated."""
    home = tmp_path_factory.mktemp("clean")
    settings = _settings(home, database_url)
    _drop(settings)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        competition = read_competition(home)
        with open_runtime(competition) as runtime:
            windows = competition.windows.between(competition.start, competition.start + timedelta(hours=4))
            runtime.ingest(windows)
            _give_orders(runtime)
            replay(runtime, windows, lambda done: None)
            yield Clean(settings, runtime)
    _drop(settings)


def _settings(home: Path, database_url: str) -> dict[str, str]:
    for name, answer in ANSWERS.items():
        (home / "models" / name).mkdir(parents=True)
        (home / "models" / name / "main.py").write_text(MODEL.replace("ANSWER", answer))
    pack = json.loads(available_packs()["tournament"].read_text())
    (home / "short.json").write_text(json.dumps(pack | {"id": "short", "min_cycles": 5}))
    tape = os.environ.get("COORDINATOR_TEST_TAPE")
    feed = {"FEED_PROVIDER": "replay", "FEED_TAPE_DIR": str(Path(tape).resolve())} if tape else {}
    return {
        "COMPETITION": f"test-{os.getpid()}-audit",
        "COMPETITION_START": "2023-03-24T11:00Z" if tape else "2026-01-05T00:00Z",
        "COORDINATOR_HOME": str(home),
        "DATABASE_URL": database_url,
        "MODELS_DIR": str(home / "models"),
        "PACK": str(home / "short.json"),
        **feed,
    }


def _drop(settings: dict[str, str]) -> None:
    engine = create_engine(with_driver(settings["DATABASE_URL"]))
    with engine.begin() as connection:
        connection.execute(text(f"drop schema if exists {settings['COMPETITION'].replace('-', '_')} cascade"))
    engine.dispose()


def _give_orders(runtime: Runtime) -> None:
    """A correction, a cycle made VOID, one to be revised, a pause, and a model that is out for half an hour."""
    store, start = runtime.store, runtime.competition.start
    store.cycles.sync_models(runtime.runner.models())

    def after(minutes: int) -> datetime:
        return start + timedelta(minutes=minutes)

    candle = store.database.read("select * from market_records where ts_event = :at", at=after(39))[0]
    correction = {
        "series": f"{candle.provider}/{candle.asset}/{candle.kind}/{candle.granularity}",
        "values": candle.values_jsonb | {"close": candle.values_jsonb["high"]},
        "first_values": candle.values_jsonb,
    }
    with store.database.transaction() as connection:
        for kind, minutes, fields in (
            ("correct", 39, {"detail": correction}),
            ("void", 25, {"config_id": "btc-in-sample"}),
            ("revise", 30, {"until": after(35)}),
            ("pause", 60, {}),
            ("resume", 70, {}),
            ("disqualify", 180, {"model_id": "expelled"}),
            ("reinstate", 210, {"model_id": "expelled"}),
        ):
            store.orders.give(connection, kind, after(minutes), "for the test", "test", **fields)
