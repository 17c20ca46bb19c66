"""The loop as a whole: the same tables whatever way it is driven, and however often."""

import dataclasses
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from coordinator_dagster.clock import FixedClock
from coordinator_dagster.code_location import build_definitions
from coordinator_dagster.competition import Competition, read_competition
from coordinator_dagster.errors import UserErrors
from coordinator_dagster.packs import available_packs, read_pack
from coordinator_dagster.replay import replay
from coordinator_dagster.runtime import open_runtime
from tests.tables import row_counts, settled_tables

Make = Callable[..., Competition]
OUTAGE = {
    "feed_provider": "replay",
    "competition_start": "2023-03-24T11:00Z",
    "competition_end": "2023-03-24T15:00Z",
}


def run_replay(competition: Competition, at_once: int = 24) -> dict[str, Any]:
    """Replay all windows, `at_once` in a call; the settled tables."""
    with open_runtime(competition) as runtime:
        windows = competition.windows.between(competition.start, competition.settings.competition_end)
        for first in range(0, len(windows), at_once):
            replay(runtime, windows[first : first + at_once], lambda done: None)
        return settled_tables(runtime.store)


def run_dagster(competition: Competition, keys: list[list[str]]) -> dict[str, Any]:
    """Materialize the windows in Dagster, a run for each list of keys; the settled tables."""
    job = build_definitions(competition).resolve_job_def(f"{competition.schema}_loop")
    with dg.DagsterInstance.ephemeral() as instance:
        for some in keys:
            tags = {
                "dagster/asset_partition_range_start": some[0],
                "dagster/asset_partition_range_end": some[-1],
            }
            assert job.execute_in_process(instance=instance, tags=tags).success
    with open_runtime(competition) as runtime:
        return settled_tables(runtime.store)


@pytest.mark.parametrize("pack", ["baseline", "tournament"])
def test_one_by_one_equals_all_at_once(competition: Make, tape_dir: Path, pack: str) -> None:
    settings = {**OUTAGE, "feed_tape_dir": tape_dir, "pack": pack}
    assert run_replay(competition("a", **settings)) == run_replay(competition("b", **settings), at_once=1)


@pytest.mark.parametrize("pack", ["baseline", "realtime", "tournament"])
def test_dagster_runs_equal_the_replay(competition: Make, pack: str) -> None:
    settings = {
        "pack": pack,
        "competition_start": "2026-01-05T00:00Z",
        "competition_end": "2026-01-05T03:00Z",
    }
    keys = [f"2026-01-05-{hour:02}:00" for hour in range(3)]
    replayed = run_replay(competition("a", **settings))
    assert run_dagster(competition("b", **settings), [keys]) == replayed
    assert run_dagster(competition("c", **settings), [[key] for key in keys]) == replayed


@pytest.mark.parametrize("pack", ["baseline", "realtime", "tournament"])
def test_again_changes_nothing(competition: Make, pack: str) -> None:
    made = competition(pack=pack)
    before = run_replay(made)
    assert before["scores"], "nothing was scored: the test would show nothing"
    with open_runtime(made) as runtime:
        counts, stamps = row_counts(runtime.store), _stamps(runtime.store)
    assert run_replay(made) == before
    with open_runtime(made) as runtime:
        assert row_counts(runtime.store) == counts
        assert _stamps(runtime.store) == stamps, "a row was written again"


def _stamps(store: Any) -> Any:
    """Wall-clock stamps: a row that is rewritten with the same content shows here."""
    return [
        store.database.read("select id, performed_at, answered_at from forecasts order by 1"),
        store.database.read("select resolved_at from ground_truths order by 1"),
        store.database.read("select score_scored_at from scores order by 1"),
        store.database.read("select id, created_at from leaderboards order by 1"),
        store.database.read("select id, updated_at from models order by 1"),
    ]


def test_windows_in_reverse_give_the_same_boards(competition: Make) -> None:
    settings = {"pack": "tournament", "competition_end": "2026-01-05T04:00Z"}
    straight = run_replay(competition("a", **settings))
    made = competition("b", **settings)
    with open_runtime(made) as runtime:
        windows = made.windows.between(made.start, made.settings.competition_end)
        runtime.ingest(windows)
        for window in reversed(windows):
            runtime.build_inputs([window])
            runtime.predict([window])
            runtime.resolve([window])
            runtime.score([window])
            runtime.aggregate([window])
            runtime.rank([window])
        backwards = settled_tables(runtime.store)
    for table in ("ground_truths", "scores", "score_rollups", "model_scores", "leaderboards"):
        assert backwards[table] == straight[table], table


def test_a_missing_neighbour_leaves_cycles_planned(competition: Make) -> None:
    made = competition()
    with open_runtime(made) as runtime:
        later = made.windows.between(made.start, made.settings.competition_end)[1:]
        asked = runtime.build_inputs(later)
        assert (asked.built, runtime.predict(later).performed) == (0, 0)
        assert asked.reason and "not ingested contiguously" in asked.reason
        rows = runtime.store.database.read("select status, reason from cycles")
        assert {row.status for row in rows} == {"planned"}
        assert all(row.reason for row in rows)


def test_a_live_schema_records_missed_and_asks_nobody(competition: Make) -> None:
    made = competition(mode="live")
    with open_runtime(made) as runtime:
        windows = made.windows.between(made.start, made.settings.competition_end)
        runtime.ingest(windows)
        runtime.build_inputs(windows)
        report = runtime.predict(windows)
        assert (report.missed, report.performed) == (120, 0)
        assert runtime.store.database.read("select count(*) as n from forecasts")[0].n == 0
        reasons = runtime.store.database.read("select distinct reason from cycles where status = 'MISSED'")
        assert [row.reason for row in reasons] == ["no live run performed it before its window ended"]


def test_a_batch_leaves_a_live_competitions_open_window_to_the_live_run(competition: Make) -> None:
    made = competition(mode="live")
    with open_runtime(made) as runtime:
        over, still_open = made.windows.between(made.start, made.settings.competition_end)
        runtime.__dict__["clock"] = FixedClock(still_open.start + timedelta(minutes=30))
        runtime.ingest([over, still_open])
        report = runtime.predict([over, still_open])
        assert (report.missed, report.left, report.performed) == (60, 60, 0)
        assert runtime.store.cycles.ended(still_open) == set(), "its cycles can still be performed"


def test_a_day_as_window_gives_the_same_forecasts_truths_and_scores(competition: Make) -> None:
    settings = {"pack": "tournament", "competition_end": "2026-01-06T00:00Z"}
    hours = run_replay(competition("a", **settings))
    days = run_replay(competition("b", **settings, window="day"))
    assert days["ground_truths"] == hours["ground_truths"]
    assert days["scores"] == hours["scores"]
    assert len(days["leaderboards"]) == 1
    assert _metrics(days["leaderboards"][0]) == pytest.approx(
        _metrics(max(hours["leaderboards"], key=_start)), rel=1e-12
    )


def _start(board: dict[str, Any]) -> Any:
    return board["window_start"]


def _metrics(board: dict[str, Any]) -> dict[str, float]:
    return {one["model_id"]: one["score"]["metrics"]["anchor"] for one in board["entries_jsonb"]}


def test_what_is_fixed_for_a_schema_cannot_change(competition: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made = competition()
    run_replay(made)
    for name, value in {"MODE": "live", "COMPETITION_START": "2026-01-05T01:00Z"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserErrors) as refused, open_runtime(read_competition(made.home)):
        pass
    assert [fault.split("=")[0] for fault in refused.value.faults] == ["MODE", "COMPETITION_START"]


def test_a_changed_config_under_its_old_id_is_refused(competition: Make, tmp_path: Path) -> None:
    made = competition()
    run_replay(made)
    pack = json.loads(available_packs()["baseline"].read_text())
    pack["scheduled_prediction_configs"][0]["scope_template"]["horizon_seconds"] = 120
    (tmp_path / "changed.json").write_text(json.dumps(pack))
    changed = dataclasses.replace(made, pack=read_pack(str(tmp_path / "changed.json")))
    with pytest.raises(UserErrors, match="coordinator order configs --at INSTANT"), open_runtime(changed):
        pass
