"""After a slot has changed: a backfill scores anew, and the old board stands until that is whole."""

from collections.abc import Callable

import dagster as dg
import pytest

from coordinator_dagster.code_location import build_definitions
from coordinator_dagster.competition import Competition, read_competition
from coordinator_dagster.runtime import open_runtime
from tests.tables import settled_tables
from tests.test_loop import run_replay

SETTLING = ("ground_truths", "scores", "model_scores", "leaderboard")


def backfill(competition: Competition, key: str) -> None:
    """What an operator chooses in the UI: the settling assets of a window."""
    job = build_definitions(competition).resolve_job_def(f"{competition.schema}_loop")
    with dg.DagsterInstance.ephemeral() as instance:
        selection = [dg.AssetKey([competition.schema, name]) for name in SETTLING]
        assert job.execute_in_process(instance=instance, partition_key=key, asset_selection=selection).success


def test_the_old_board_stands_until_the_look_back_is_scored_anew(
    competition: Callable[..., Competition], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = competition()
    before = run_replay(made)
    old = made.score_version()
    monkeypatch.setenv("SLOT_VERSION", "2")
    made = read_competition(made.home)
    new = made.score_version()
    assert new != old

    def shown() -> tuple[str, set[str]]:
        with open_runtime(made) as runtime:
            board = runtime.store.boards.latest_leaderboard()
            versions = {
                row.v for row in runtime.store.database.read("select distinct score_version v from predictions")
            }
            return board.version, versions

    backfill(made, "2026-01-05-00:00")
    assert shown() == (old, {old}), "half of the look-back is scored anew: the old board stands, unmixed"
    backfill(made, "2026-01-05-01:00")
    assert shown() == (new, {new})
    with open_runtime(made) as runtime:
        after = settled_tables(runtime.store)
    assert after["forecasts"] == before["forecasts"]
    kept = [row for row in after["scores"] if row["version"] == old]
    assert kept == before["scores"], "what was scored before stays"
    assert len(after["ground_truths"]) == 2 * len(before["ground_truths"])
