"""The live run as Dagster runs it."""

from collections.abc import Callable
from typing import Any

import dagster as dg
import pytest

from coordinator_dagster.audit.queries import ASSETS
from coordinator_dagster.competition import Competition
from coordinator_dagster.definitions import build_definitions

pytestmark = pytest.mark.venue
WINDOW = "2023-03-23-12:00"


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


def test_only_a_live_competition_has_it(competition: Callable[..., Competition]) -> None:
    names = [job.name for job in build_definitions(competition()).jobs or []]
    assert not any(name.endswith("_live") for name in names)
