"""The live run as Dagster runs it."""

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from coordinator_dagster.audit.queries import ASSETS
from coordinator_dagster.code_location import build_definitions
from coordinator_dagster.competition import Competition
from coordinator_dagster.live.leasing import WORK
from coordinator_dagster.runtime import open_runtime

pytestmark = pytest.mark.venue
WINDOW = "2023-03-23-12:00"
PRINTS_AND_SLEEPS = """
import time
from slots.tracker import TrackerBase
class M(TrackerBase):
    def tick(self, data): pass
    def predict(self, asset, horizon, step):
        print("asked")
        time.sleep(0.3)
        return {"value": 0.001}
"""


@pytest.mark.venue
def test_it_observes_its_window_and_materializes_it_once(
    venue: Callable[..., Any], live: Callable[..., Competition]
) -> None:
    with venue("2023-03-23T12:54:30Z", 20) as url, dg.DagsterInstance.ephemeral() as instance:
        made = live(url, pack="realtime", competition_end="2023-03-23T13:00Z")
        job = build_definitions(made).resolve_job_def(f"{made.schema}_live")
        result = job.execute_in_process(instance=instance, partition_key=WINDOW)
        assert result.success
        for name in ("market_records", "predictions", "leaderboard"):
            records = instance.fetch_observations(dg.AssetKey([made.schema, name]), limit=10).records
            assert records, name
            assert {one.partition_key for one in records} == {WINDOW}
        first = instance.fetch_observations(dg.AssetKey([made.schema, "market_records"]), limit=1).records[0]
        assert "complete_through binance/BTC/tick/1s" in first.asset_observation.metadata
        for name in ASSETS:
            records = instance.fetch_materializations(dg.AssetKey([made.schema, name]), limit=10).records
            assert [one.partition_key for one in records] == [WINDOW], name
        board = instance.fetch_materializations(dg.AssetKey([made.schema, "leaderboard"]), limit=1).records[0]
        metadata = board.asset_materialization.metadata
        assert metadata["final"].value is True
        assert "Trend following" in metadata["board"].value


def test_terminated_it_stores_what_is_being_asked(
    venue: Callable[..., Any],
    live: Callable[..., Competition],
    model_folder: Callable[[str, str], Path],
) -> None:
    def terminate() -> None:
        while not asked.exists() or asked.read_text().count("asked") < 3:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)  # as Dagster does in the run's process

    with venue("2023-03-23T12:54:30Z", 20) as url, dg.DagsterInstance.ephemeral() as instance:
        models = model_folder("slow", PRINTS_AND_SLEEPS)
        made = live(url, pack="realtime", models_dir=models, competition_end="2023-03-23T13:00Z")
        asked = made.model_logs / "slow.log"
        job = build_definitions(made).resolve_job_def(f"{made.schema}_live")
        threading.Thread(target=terminate, daemon=True).start()
        with pytest.raises(dg.DagsterExecutionInterruptedError):
            job.execute_in_process(instance=instance, partition_key=WINDOW)
    with open_runtime(made) as runtime:
        stored = runtime.store.database.read("select status from forecasts")
        assert len(stored) == asked.read_text().count("asked") >= 3
        lease = runtime.store.leases.read(WORK)
        assert lease and not lease.alive


def test_only_a_live_competition_has_it(competition: Callable[..., Competition]) -> None:
    names = [job.name for job in build_definitions(competition()).jobs or []]
    assert not any(name.endswith("_live") for name in names)
