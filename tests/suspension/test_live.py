"""Suspended live: the same as in a replay, whoever performs the instants, and repeated by a replay from its schema."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from coordinator_dagster.audit import audit
from coordinator_dagster.cli import app
from coordinator_dagster.clock import FixedClock
from coordinator_dagster.competition import Competition, read_competition
from coordinator_dagster.runtime import Runtime, open_runtime
from tests.live.performing import perform_live
from tests.original_faults.world import START, Script, always, opened, perform, rows, settle, windows_of
from tests.suspension.models import CODE, MINUTE, SCRIPTS, RecordingRunner, failed
from tests.tables import settled_tables

Make = Callable[..., Competition]
HOUR = {"competition_end": "2026-01-05T01:00Z"}
LAST = START + 59 * MINUTE
NOW = START + 130 * MINUTE


def forecasts(runtime: Runtime) -> list[dict[str, Any]]:
    """Without when they were asked: live that is measured."""
    found = settled_tables(runtime.store)["forecasts"]
    for row in found:
        row["asked_at"] = row["asked_at"] is not None
    return found


def performed_live(made: Competition, runner: RecordingRunner, *fail_over: datetime) -> list[dict[str, Any]]:
    with opened(made, clock=FixedClock(NOW), runner=runner) as runtime:
        runtime.ingest(windows_of(made))
        perform_live(runtime, LAST, fail_over)
        return forecasts(runtime)


@pytest.fixture
def batch(competition: Make) -> list[dict[str, Any]]:
    made = competition("batch", **HOUR)
    with opened(made, SCRIPTS) as runtime:
        perform(runtime, windows_of(made))
        found = forecasts(runtime)
    assert sum(row["status"] == "SUSPENDED" for row in found) > 80, "the test would show nothing"
    assert {row["asked_at"] for row in found if row["status"] == "SUSPENDED"} == {False}
    return found


@pytest.mark.parametrize("minutes", [[], [9], [10], [11], [24], [3, 12, 13, 40]], ids=str)
def test_live_equals_a_replay_whoever_took_over_and_when(
    competition: Make, batch: list[dict[str, Any]], minutes: list[int]
) -> None:
    runner = RecordingRunner(SCRIPTS)
    moments = [START + minute * MINUTE for minute in minutes]
    assert performed_live(competition("live", mode="live", **HOUR), runner, *moments) == batch
    for t, asked in runner.asked.items():
        suspended = {row["model_id"] for row in batch if row["performed_at"] == t and row["status"] == "SUSPENDED"}
        assert asked == set(SCRIPTS) - suspended


def test_a_new_deployment_is_asked_at_once_and_by_who_takes_over_too(competition: Make) -> None:
    mended = START + 15 * MINUTE
    scripts: dict[str, Script] = {
        "good": always(0.0),
        "mended": lambda t: always(0.0)(t) if t >= mended else failed(),
    }
    found = []
    for place, fail_over in enumerate([[], [mended], [mended + MINUTE]]):
        made = competition(f"live{place}", mode="live", **HOUR)
        found.append(performed_live(made, RecordingRunner(scripts, redeployed={"mended": mended}), *fail_over))
    assert found[0] == found[1] == found[2]
    by_time = sorted(found[0], key=lambda row: row["performed_at"])
    statuses = [row["status"] for row in by_time if row["model_id"] == "mended"]
    assert statuses == ["FAILED"] * 10 + ["SUSPENDED"] * 5 + ["SUCCESS"] * 45


def test_the_next_window_begins_anew_though_the_same_run_goes_on(competition: Make) -> None:
    made = competition("live", mode="live")
    with opened(made, {"raises": SCRIPTS["raises"]}, clock=FixedClock(NOW)) as runtime:
        runtime.ingest(windows_of(made))
        perform_live(runtime, START + 119 * MINUTE)
        found = [row["status"] for row in rows(runtime, "select status from forecasts order by performed_at")]
    assert found[58:71] == ["SUSPENDED"] * 2 + ["FAILED"] * 10 + ["SUSPENDED"]


def test_a_replay_from_its_schema_gives_the_same_tables(
    competition: Make, model_folder: Callable[[str, str], Path]
) -> None:
    """With models in processes of their own, a fail-over in a suspension, and minutes in which nobody ran it."""
    for name, code in CODE.items():
        folder = model_folder(name, code)
    made = competition("live", mode="live", models_dir=folder, **HOUR)
    with open_runtime(made) as runtime:
        runtime.__dict__["clock"] = FixedClock(NOW)
        windows = made.windows.between(made.start, made.closing)
        runtime.ingest(windows)
        perform_live(runtime, START + 40 * MINUTE, [START + 12 * MINUTE])
        runtime.predict(windows)  # records the rest as MISSED
        settle(runtime, windows)
        assert audit(runtime.store.database, NOW + timedelta(hours=1)) == []
    copy = competition("copy", mode="replay", competition_start="", models_dir=folder, **HOUR)
    done = CliRunner().invoke(app, ["replay", "--from-schema", made.schema])
    assert done.exit_code == 0, done.output
    with open_runtime(made) as one, open_runtime(read_competition(copy.home)) as other:
        lived, replayed = settled_tables(one.store), settled_tables(other.store)
        assert forecasts(one) == forecasts(other)
        assert {row["status"] for row in forecasts(one)} == {"SUCCESS", "FAILED", "SUSPENDED"}
    for table in ("cycles", "ground_truths", "scores", "score_rollups", "leaderboards"):
        assert lived[table], f"no {table}: the test would show nothing"
        assert lived[table] == replayed[table], table
