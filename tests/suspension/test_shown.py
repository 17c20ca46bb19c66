"""Suspended is shown: to its owner by `coordinator explain`, to the operator in the UI and by the check `health`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from typer.testing import CliRunner

from coordinator_dagster.assets.window_asset import describe
from coordinator_dagster.checks.asset_checks import _cell
from coordinator_dagster.cli import app
from coordinator_dagster.code_location import build_definitions
from coordinator_dagster.competition import Competition
from coordinator_dagster.live_job import EXTRA
from coordinator_dagster.replay import replay
from coordinator_dagster.runners.base import Answer
from coordinator_dagster.runtime import open_runtime
from tests.cli.explaining import explain
from tests.original_faults.world import START, Script, always, opened, perform, rows, settle, windows_of
from tests.suspension.models import CODE, MINUTE, SCRIPTS, failed
from tests.test_checks import evaluate

Make = Callable[..., Competition]
HOUR = {"competition_end": "2026-01-05T01:00Z"}
WHY = "suspended until 2026-01-05T00:24Z: 10 instants in a row failed, the last: ValueError: no idea (main.py:5)"
LAST = WHY.replace("00:24Z", "01:00Z")


@pytest.fixture
def replayed(competition: Make, model_folder: Callable[[str, str], Path]) -> Competition:
    for name, code in CODE.items():
        folder = model_folder(name, code)
    made = competition(models_dir=folder, **HOUR)
    with open_runtime(made) as runtime:
        replay(runtime, windows_of(made), lambda done: None)
    return made


def test_explain_says_until_when_and_why(replayed: Competition) -> None:
    found = explain(replayed, "raises", START + 12 * MINUTE)
    (cycle,) = found["cycles"]
    assert (cycle["forecast"]["status"], cycle["forecast"]["reason"]) == ("SUSPENDED", WHY)
    assert cycle["forecast"]["asked_at"] is None
    assert cycle["forecast"]["suspension"] == {
        "since": "2026-01-05T00:09:00+00:00",
        "until": "2026-01-05T00:24:00+00:00",
        "instants": 10,
        "kind": "FAILED",
    }
    assert cycle["outcome"].startswith("CHARGED -") and ": SUSPENDED, the 90th percentile of " in cycle["outcome"]
    assert (found["model"]["state"], found["model"]["state_reason"]) == ("suspended", LAST)
    done = CliRunner().invoke(app, ["explain", "raises", "2026-01-05T00:12Z"], terminal_width=300)
    shown = " ".join(done.output.split())
    assert f"SUSPENDED, {WHY}" in shown
    assert "asked at not at all" in shown
    assert "after 2026-01-05T00:09:00+00:00, the last of 10 failures in a row, until 2026-01-05T00:24:00+00:00" in shown
    assert f"state now suspended, {LAST}, since 2026-01-05T00:57:00+00:00, until 2026-01-05T01:00:00+00:00" in shown
    active = CliRunner().invoke(app, ["explain", "good", "2026-01-05T00:12Z"], terminal_width=300)
    assert "state now active " in " ".join(active.output.split()) and "suspended" not in active.output


def test_a_models_state_is_that_of_the_newest_instant_and_orders_come_first(competition: Make) -> None:
    made = competition(**HOUR)
    states = "select model_id, state, reason, since, until from model_states order by 1"
    with opened(made, {name: SCRIPTS[name] for name in ("good", "raises", "recovers", "hangs")}) as runtime:
        perform(runtime, windows_of(made))
        found = {row["model_id"]: row for row in rows(runtime, states)}
        assert {name: row["state"] for name, row in found.items()} == {
            "good": "active",
            "hangs": "active",
            "raises": "suspended",
            "recovers": "active",
        }
        assert (found["raises"]["since"], found["raises"]["until"]) == (START + 57 * MINUTE, START + 60 * MINUTE)
        assert found["raises"]["reason"] == LAST
        assert {found["good"][name] for name in ("reason", "since", "until")} == {None}
        with runtime.store.database.transaction() as connection:
            runtime.store.orders.give(connection, "disqualify", START, "copied", "test", model_id="raises")
        out = {row["model_id"]: row for row in rows(runtime, states)}["raises"]
        assert (out["state"], out["reason"], out["since"], out["until"]) == ("disqualified", "copied", START, None)


def test_the_ui_lists_who_was_suspended(replayed: Competition) -> None:
    job = build_definitions(replayed).resolve_job_def(f"{replayed.schema}_loop")
    with dg.DagsterInstance.ephemeral() as instance:
        done = job.execute_in_process(instance=instance, partition_key="2026-01-05-00:00")
        shown = {
            event.asset_key.path[-1]: event.materialization.metadata
            for event in done.get_asset_materialization_events()
            if event.asset_key
        }["predictions"]
    assert (shown["suspended"].value, shown["failed"].value) == (44, 40)
    assert shown["suspended_models"].value == "raises, recovers"
    table = [record.data for record in shown["suspensions"].records]
    assert [(row["model"], row["cycles"]) for row in table] == [
        ("raises", 14),
        ("raises", 14),
        ("raises", 2),
        ("recovers", 14),
    ]
    assert table[0]["reason"] == WHY
    with open_runtime(replayed) as runtime:
        window = windows_of(replayed)[0]
        live = describe(runtime, "predictions", [window], EXTRA["predictions"])[window]
    assert live["suspensions"] == shown["suspensions"], "a live run tells the same"


def test_where_nobody_was_the_ui_lists_nobody(competition: Make) -> None:
    made = competition(**HOUR)
    with opened(made, {"good": always(0.0)}) as runtime:
        perform(runtime, windows_of(made))
    with open_runtime(made) as runtime:
        window = windows_of(made)[0]
        shown = describe(runtime, "predictions", [window], EXTRA["predictions"])[window]
    assert "suspensions" not in shown and shown["suspended"] == 0


ours = Answer("PLATFORM_FAULT", 0.0, reason="the zygote died")
HEALTH: dict[str, tuple[dict[str, Script], str | None, set[str]]] = {
    "all is well": ({"flickers": lambda t: failed() if t.minute % 2 else always(0.0)(t)}, None, set()),
    "one is suspended now": ({"raises": SCRIPTS["raises"]}, "WARN", {"unhealthy_models"}),
    "one has been, and answers since": ({"recovers": SCRIPTS["recovers"]}, None, set()),
    "one is late mostly": ({"late": SCRIPTS["late"]}, "WARN", {"unhealthy_models"}),
    "one has gone": ({"gone": lambda t: always(0.0)(t) if t.minute < 20 else None}, "WARN", {"unhealthy_models"}),
    "once it was our fault": (
        {"unlucky": lambda t: ours if t.minute == 30 else always(0.0)(t)},
        "ERROR",
        {"our_faults"},
    ),
    "nobody answers": ({"good": SCRIPTS["hangs"]}, "ERROR", {"our_faults", "unhealthy_models"}),
    "our queues are long": (
        {"queued": lambda t: Answer("SUCCESS", 0.7, {"value": 0.0}, 1.0, 650.0 if t.minute % 20 == 0 else 1.0)},
        "WARN",
        {"queueing"},
    ),
}


@pytest.mark.parametrize("case", HEALTH)
def test_health(competition: Make, case: str) -> None:
    scripts, severity, queries = HEALTH[case]
    made = competition(**HOUR)
    with opened(made, {"good": always(0.0), **scripts}) as runtime:
        perform(runtime, windows_of(made))
        settle(runtime, windows_of(made))
    found = evaluate(made)["health"]
    assert found.passed is (severity is None), found.metadata
    assert severity in (None, found.severity.value)
    assert {name for name in found.metadata if not name.startswith("failing")} == queries
    if queries:
        assert found.metadata["failing_windows"].value == "2026-01-05-00:00"


def test_health_shows_a_models_numbers_and_what_its_owner_must_know(competition: Make) -> None:
    made = competition(**HOUR)
    evil = failed("ValueError: ![x](http://evil) | <b>\nno idea")
    scripts: dict[str, Script] = {"good": always(0.0), "raises": lambda t: evil}
    with opened(made, scripts) as runtime:
        perform(runtime, windows_of(made))
    shown = str(evaluate(made)["health"].metadata["unhealthy_models"].value)
    header, _, row = [line for line in shown.splitlines() if line.startswith("| ")]
    cells: dict[str, Any] = dict(zip(header.split(" | "), row.split(" | "), strict=True))
    assert (cells["| model_id"], cells["due"], cells["failed"], cells["suspended"]) == ("| raises", "60", "30", "30")
    assert cells["suspended_until"] == "2026-01-05 01:00:00+00:00"
    assert r"the last: ValueError: !\[x\](http://evil) \| \<b\> no idea" in row


def test_health_looks_at_the_last_day_only(competition: Make) -> None:
    """The first hour was bad for all; a day later nothing of it counts."""
    made = competition(pack="tournament", competition_end="2026-01-06T02:00Z")
    bad = lambda t: failed() if t < START + 60 * MINUTE else always(0.0)(t)  # noqa: E731
    with opened(made, {"good": bad, "fair": bad}) as runtime:
        windows = windows_of(made)
        perform(runtime, windows[:2])
        assert evaluate(made)["health"].severity == dg.AssetCheckSeverity.ERROR
        perform(runtime, windows[2:])
    found = evaluate(made)["health"]
    assert found.passed, found.metadata


def test_who_is_disqualified_does_not_make_it_fail(competition: Make) -> None:
    made = competition(**HOUR)
    with opened(made, {"good": always(0.0), "raises": SCRIPTS["raises"]}) as runtime:
        perform(runtime, windows_of(made))
        with runtime.store.database.transaction() as connection:
            runtime.store.orders.give(connection, "disqualify", START, "copied", "test", model_id="raises")
    assert evaluate(made)["health"].passed


@pytest.mark.parametrize(("text", "shown"), [("a | b", r"a \| b"), ("<img>", r"\<img\>"), ("a\nb", "a b"), (5, "5")])
def test_what_others_said_is_no_markdown(text: Any, shown: str) -> None:
    assert _cell(text) == shown


def test_validate_warns_of_a_suspension_that_skips_nothing_and_refuses_nonsense(
    competition: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    warning = "MODEL_SUSPENSION_SECONDS=60: instants are 60 s apart, so a suspended model misses none"
    competition(model_suspension_seconds=60)
    assert warning in CliRunner().invoke(app, ["validate"]).output
    monkeypatch.setenv("MODEL_SUSPENSION_SECONDS", "61")
    assert "MODEL_SUSPENSION_SECONDS" not in CliRunner().invoke(app, ["validate"]).output
    monkeypatch.setenv("MODEL_SUSPENSION_SECONDS", "60")
    monkeypatch.setenv("MODEL_RUNNER_MAX_CONSECUTIVE_FAILURES", "0")
    monkeypatch.setenv("MODEL_RUNNER_MAX_CONSECUTIVE_TIMEOUTS", "0")
    assert "MODEL_SUSPENSION_SECONDS" not in CliRunner().invoke(app, ["validate"]).output
    competition(model_suspension_seconds=60, model_runner_max_consecutive_failures=60)
    monkeypatch.setenv("MODEL_RUNNER_MAX_CONSECUTIVE_TIMEOUTS", "60")
    assert "MODEL_SUSPENSION_SECONDS" not in CliRunner().invoke(app, ["validate"]).output, "nobody can be suspended"
    for name, value in {
        "MODEL_SUSPENSION_SECONDS": "0",
        "MODEL_RUNNER_MAX_CONSECUTIVE_FAILURES": "-1",
        "MODEL_RUNNER_MAX_CONSECUTIVE_TIMEOUTS": "often",
    }.items():
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            refused = CliRunner().invoke(app, ["validate"]).exception
        assert f"environment: {name}" in str(refused) and value in str(refused)
