"""The asset checks: they pass on what is well, and show the failing windows and rows of what is not."""

from collections.abc import Callable

import dagster as dg
import pytest

from coordinator_dagster.checks.asset_checks import CHECKS
from coordinator_dagster.clock import FixedClock
from coordinator_dagster.code_location import build_definitions
from coordinator_dagster.competition import Competition
from coordinator_dagster.runtime import Runtime, open_runtime
from slots.market import utc
from tests.test_loop import run_replay

BREAKS = {
    "gaps": "insert into market_gaps (provider, asset, kind, granularity, gap_start, gap_end, state, reason) "
    "values ('simulated', 'BTC', 'candle', '1m', '2026-01-05T01:10Z', '2026-01-05T01:12Z', 'open', 'x')",
    "late_answers": "set session_replication_role = replica; "
    "update forecasts set status = 'LATE' where performed_at = '2026-01-05T01:10Z'",
    "unresolved": "delete from ground_truths where performed_at = '2026-01-05T01:10Z'",
    "non_finite": "update ground_truths set truth_jsonb = jsonb_set(truth_jsonb, '{return}', '\"up\"') "
    "where performed_at = '2026-01-05T01:11Z'",
    "rank_agrees_with_metric": "update leaderboards set entries_jsonb = "
    "jsonb_set(entries_jsonb, '{0,rank}', '2') where window_start = '2026-01-05T01:00Z'",
    "slot_failures": "update scores set score_failed_reason = 'CHARGED: no score, SCORING_FUNCTION=x:y raised' "
    "where performed_at = '2026-01-05T01:12Z'",
    "coverage": "update leaderboards set entries_jsonb = jsonb_set(entries_jsonb, '{0,unranked_reason}', '\"x\"') "
    "where window_start = '2026-01-05T01:00Z'",
}


def evaluate(competition: Competition) -> dict[str, dg.AssetCheckEvaluation]:
    """By name; the audit's, which every asset has, with the asset's name."""
    job = build_definitions(competition).resolve_job_def(f"{competition.schema}_checks_job")
    with dg.DagsterInstance.ephemeral() as instance:
        done = job.execute_in_process(instance=instance)
    return {_name(one.check_name, one.asset_key.path[-1]): one for one in done.get_asset_check_evaluations()}


def _name(check: str, asset: str) -> str:
    return f"audit of {asset}" if check == "audit" else check


def test_every_check_passes_on_a_competition_that_is_well(competition: Callable[..., Competition]) -> None:
    made = competition()
    run_replay(made)
    found = evaluate(made)
    assert set(found) == {_name(check.name, check.asset) for check in CHECKS}
    assert [name for name, one in found.items() if not one.passed] == [], {n: o.metadata for n, o in found.items()}


@pytest.fixture
def broken(competition: Callable[..., Competition]) -> Competition:
    made = competition()
    run_replay(made)
    with open_runtime(made) as runtime, runtime.store.database.transaction() as connection:
        for sql in BREAKS.values():
            connection.exec_driver_sql(sql)
    return made


def test_each_check_shows_the_windows_and_rows_that_fail(broken: Competition) -> None:
    found = evaluate(broken)
    failed = {name for name, one in found.items() if not one.passed}
    assert {name for name in failed if not name.startswith("audit")} == set(BREAKS)
    assert {"audit of leaderboard", "audit of scores"} <= failed
    for name in BREAKS:
        metadata = found[name].metadata
        assert metadata["failing_windows"].value == "2026-01-05-01:00", name
        assert metadata["failing_rows"].value >= 1
        assert any("| --- |" in str(value.value) for value in metadata.values()), "the rows are shown"
    assert found["gaps"].severity == dg.AssetCheckSeverity.WARN
    assert found["rank_agrees_with_metric"].severity == dg.AssetCheckSeverity.ERROR


@pytest.mark.parametrize(
    "through, now, passes",
    [
        ("2026-01-05T01:27:00Z", "2026-01-05T01:30Z", True),
        ("2026-01-05T01:26:00Z", "2026-01-05T01:30Z", False),
        (None, "2026-01-05T01:30Z", False),  # no record has come at all
        ("2026-01-05T02:00:00Z", "2026-01-09T00:00Z", True),  # it has ended
    ],
)
def test_a_live_tape_that_stands_still_is_shown(
    competition: Callable[..., Competition],
    monkeypatch: pytest.MonkeyPatch,
    through: str | None,
    now: str,
    passes: bool,
) -> None:
    made = competition(mode="live")
    with open_runtime(made) as runtime:
        if through:
            candles = runtime.feed.series("BTC", "candle", "1m")
            runtime.store.tape.add(candles, [], (made.tape_start, utc(through)), made.tape_start)
    monkeypatch.setattr(Runtime, "clock", FixedClock(utc(now)))
    found = evaluate(made)["complete"]
    assert found.passed is passes
    assert passes or "BTC/candle/1m" in str(found.metadata["complete"].value)


def test_the_loop_job_runs_no_check(competition: Callable[..., Competition]) -> None:
    made = competition()
    job = build_definitions(made).resolve_job_def(f"{made.schema}_loop")
    with dg.DagsterInstance.ephemeral() as instance:
        done = job.execute_in_process(instance=instance, partition_key="2026-01-05-00:00")
    assert done.success
    assert done.get_asset_check_evaluations() == []
