"""Suspended in a replay: who is asked, what is stored and charged, and that going on with half a window is the same."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from coordinator_dagster.audit import audit
from coordinator_dagster.clock import FixedClock
from coordinator_dagster.competition import Competition
from coordinator_dagster.replay import replay
from coordinator_dagster.runtime import Runtime, open_runtime
from slots.market import utc
from tests.original_faults.world import (
    HOUR,
    START,
    FailingFeed,
    Script,
    always,
    newest_board,
    opened,
    perform,
    rows,
    settle,
    windows_of,
)
from tests.suspension.models import CODE, MINUTE, SCRIPTS, RecordingRunner, failed
from tests.tables import row_counts, settled_tables

Make = Callable[..., Competition]


def letters(runtime: Runtime, model: str) -> str:
    """The first letter of each status in order; a suspended instant is a dot."""
    found = rows(runtime, "select status from forecasts where model_id = :m order by performed_at", m=model)
    return "".join("." if row["status"] == "SUSPENDED" else row["status"][0] for row in found)


RAISES = "F" * 10 + "." * 14 + "F" * 10 + "." * 14 + "F" * 10 + "." * 2


@pytest.fixture
def replayed(competition: Make, model_folder: Callable[[str, str], Path]) -> Competition:
    """Two hours with models in processes of their own: one always raises, one does in the first third of each hour."""
    for name, code in CODE.items():
        folder = model_folder(name, code)
    made = competition(models_dir=folder)
    with open_runtime(made) as runtime:
        replay(runtime, windows_of(made), lambda done: None)
    return made


def test_who_fails_ten_times_is_not_asked_for_fifteen_minutes_and_every_window_begins_anew(
    replayed: Competition,
) -> None:
    with open_runtime(replayed) as runtime:
        assert letters(runtime, "raises") == RAISES * 2
        assert letters(runtime, "recovers") == ("F" * 10 + "." * 14 + "S" * 36) * 2
        assert letters(runtime, "good") == "S" * 120
        one = rows(
            runtime,
            "select meta_jsonb, asked_at, answered_at, exec_time_ms, queued_ms, inference_output_jsonb, deployment "
            "from forecasts where model_id = 'raises' and performed_at = :t",
            t=START + 12 * MINUTE,
        )[0]
        reason = (
            "suspended until 2026-01-05T00:24Z: 10 instants in a row failed, the last: ValueError: no idea (main.py:5)"
        )
        meta = one.pop("meta_jsonb")
        assert meta["reason"] == reason
        assert utc(meta["suspension"]["since"]) == START + 9 * MINUTE
        assert one.pop("deployment") and set(one.values()) == {None}
        last = rows(runtime, "select max(meta_jsonb->'suspension'->>'until') as until from forecasts")[0]["until"]
        assert utc(last) == START + 2 * HOUR, "no suspension reaches beyond its window"
        assert audit(runtime.store.database, runtime.clock.now()) == []


def test_a_suspension_is_charged_as_the_failure_would_have_been(replayed: Competition) -> None:
    with open_runtime(replayed) as runtime:
        scored = "select performed_at, score_value, score_status, score_failed_reason from predictions where "
        suspended = rows(runtime, scored + "status = 'SUSPENDED' and model_id = 'raises'")
        worst = {
            row["performed_at"]: row["score_value"]
            for row in rows(
                runtime,
                "select performed_at, min(score_value) as score_value from predictions where status = 'SUCCESS' "
                "group by 1",
            )
        }
        assert len(suspended) == 60
        for row in suspended:
            assert row["score_status"] == "CHARGED"
            assert row["score_failed_reason"].startswith("CHARGED: SUSPENDED, the 90th percentile of ")
            assert row["score_value"] == worst[row["performed_at"]]
        board = newest_board(runtime)
    payload = {name: board[name]["score"]["payload"] for name in ("raises", "recovers")}
    assert (payload["raises"]["due"], payload["raises"]["answered"]) == (120, 0)
    assert board["raises"]["rank"] is None and "answered 0 cycles" in board["raises"]["unranked_reason"]
    assert (payload["recovers"]["due"], payload["recovers"]["answered"]) == (120, 72)
    assert board["recovers"]["rank"] == 3 and board["bad"]["rank"] == 4


def test_materializing_again_asks_nobody_and_changes_nothing(replayed: Competition) -> None:
    with open_runtime(replayed) as runtime:
        before, counts = settled_tables(runtime.store), row_counts(runtime.store)
        replay(runtime, windows_of(replayed), lambda done: None)
        assert runtime.predict(windows_of(replayed)[:1]).performed == 0
        assert (settled_tables(runtime.store), row_counts(runtime.store)) == (before, counts)


def test_by_script_each_status_counts_as_it_should(competition: Make) -> None:
    made = competition(competition_end="2026-01-05T01:00Z")
    with opened(made, runner=(runner := RecordingRunner(SCRIPTS))) as runtime:
        perform(runtime, windows_of(made))
        found = {name: letters(runtime, name) for name in SCRIPTS}
        for minute in range(60):
            t = START + minute * MINUTE
            assert runner.asked[t] == {name for name, said in found.items() if said[minute] != "."}
    assert found == {
        "good": "S" * 60,
        "fair": "S" * 60,
        "bad": "S" * 60,
        "raises": RAISES,
        "recovers": "F" * 10 + "." * 14 + "S" * 36,
        "flickers": ("F" * 9 + "S") * 6,
        "hangs": ("T" * 5 + "." * 14) * 3 + "T" * 3,
        "late": "L" * 60,
        "ours": "P" * 60,
    }


@pytest.mark.parametrize("minutes", [0.5, 8.5, 9.5, 10.5, 23.5, 24.5, 40.5])
def test_a_window_whose_tape_ended_half_way_is_gone_on_with_as_if_it_had_not(competition: Make, minutes: float) -> None:
    def through(suffix: str, *moments: float) -> list[dict[str, Any]]:
        made, clock = competition(suffix, competition_end="2026-01-05T01:00Z"), FixedClock(START)
        with opened(made, SCRIPTS, clock=clock, feed=FailingFeed(clock)) as runtime:
            for moment in moments:
                clock.moment = START + moment * MINUTE
                perform(runtime, windows_of(made))
            return settled_tables(runtime.store)["forecasts"]

    whole = through("whole", 120)
    assert len(whole) == 60 * len(SCRIPTS)
    assert through("halves", minutes, 120) == whole


def test_settings_say_how_often_and_how_long(competition: Make) -> None:
    never = {"model_runner_max_consecutive_failures": 0, "model_runner_max_consecutive_timeouts": 0}
    scripts: dict[str, Script] = {"raises": SCRIPTS["raises"], "hangs": SCRIPTS["hangs"]}
    found = {}
    for suffix, chosen in {
        "never": never,
        "soon": {**never, "model_runner_max_consecutive_failures": 2, "model_suspension_seconds": 180},
        "hung": {**never, "model_runner_max_consecutive_timeouts": 3, "model_suspension_seconds": 7200},
    }.items():
        made = competition(suffix, competition_end="2026-01-05T01:00Z", **chosen)
        with opened(made, scripts) as runtime:
            perform(runtime, windows_of(made))
            found[suffix] = (letters(runtime, "raises"), letters(runtime, "hangs"))
    assert found == {
        "never": ("F" * 60, "T" * 60),
        "soon": ("FF.." * 15, "TT.." * 15),
        "hung": ("F" * 60, "TTT" + "." * 57),
    }


def test_a_new_deployment_is_asked_at_once(competition: Make) -> None:
    made = competition(competition_end="2026-01-05T01:00Z")
    mended = START + 15 * MINUTE
    scripts: dict[str, Script] = {
        "good": always(0.0),
        "mended": lambda t: always(0.0)(t) if t >= mended else failed(),
        "worse": lambda t: failed(),
    }
    runner = RecordingRunner(scripts, redeployed={"mended": mended, "worse": mended})
    with opened(made, runner=runner) as runtime:
        perform(runtime, windows_of(made))
        assert letters(runtime, "mended") == "F" * 10 + "." * 5 + "S" * 45
        assert letters(runtime, "worse") == "F" * 10 + "." * 5 + "F" * 10 + "." * 14 + "F" * 10 + "." * 11
        deployments = rows(
            runtime, "select deployment, count(*) as n from forecasts where model_id = 'mended' group by 1 order by 1"
        )
        assert [tuple(row.values()) for row in deployments] == [("1", 15), ("2", 45)]
        settle(runtime, windows_of(made))
        assert audit(runtime.store.database, START + timedelta(hours=2)) == []


def test_who_is_disqualified_while_it_is_suspended_owes_nothing(competition: Make) -> None:
    made = competition(competition_end="2026-01-05T01:00Z")
    with opened(made, SCRIPTS) as runtime:
        runtime.store.cycles.sync_models(runtime.runner.models())
        with runtime.store.database.transaction() as connection:
            for kind, minute in (("disqualify", 12), ("reinstate", 20)):
                runtime.store.orders.give(connection, kind, START + minute * MINUTE, "test", "test", model_id="raises")
        perform(runtime, windows_of(made))
        assert letters(runtime, "raises") == RAISES[:12] + RAISES[20:]
