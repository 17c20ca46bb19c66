"""`coordinator explain` where there is no score: not asked, MISSED, planned, pending, VOID."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from coordinator_dagster.errors import UserError
from coordinator_dagster.explain import explanation
from coordinator_dagster.packs import available_packs
from coordinator_dagster.runtime import open_runtime
from coordinator_dagster.store.store import open_store
from slots.market import utc
from tests.cli.explaining import AT, IN, INSTANT, MODEL, START, Explain, Make, WriteModel, explain, run


def test_a_model_that_was_not_asked(competition: Make, model_folder: WriteModel) -> None:
    folder = model_folder("early", MODEL.format("return {'value': 0.0}"))
    model_folder("thrown", MODEL.format("return {'value': 0.0}"))
    made = competition(models_dir=folder, pack="tournament")
    run(made, 0)
    second = START + timedelta(hours=1)
    store = open_store(made)
    with store.database.transaction() as connection:
        store.orders.give(connection, "disqualify", second, "copied", "olga", model_id="thrown")
    with pytest.raises(UserError, match="due, but its window has not been run: materialize `predictions`; the nearest"):
        explanation(made, store, "early", second)
    store.close()
    (folder / "early" / "main.py").unlink()
    (folder / "early").rmdir()
    model_folder("late", MODEL.format("return {'value': 0.0}"))
    run(made)

    def first(model: str, at: datetime) -> dict[str, Any]:
        return explain(made, model, at, IN)["cycles"][0]

    late = first("late", AT)
    assert (
        late["outcome"]
        == f"not asked: it joined later, with the cycle of {second.isoformat()}, and owes nothing before"
    )
    assert (late["truth"]["status"], late["score"]["status"], late["board"]) == ("RESOLVED", "none", None)
    assert first("thrown", second)["outcome"] == "not asked: disqualified: copied"
    assert first("thrown", AT)["score"]["status"] == "SCORED"
    absent = first("early", second)
    assert absent["forecast"]["status"] == "ABSENT"
    assert absent["outcome"] == "CHARGED -500.0: ABSENT, the worst score"


def test_a_missed_and_a_planned_cycle_say_why(competition: Make, typed: Explain) -> None:
    made = competition(mode="live")
    run(made)
    code, text, _ = typed("trend_following", INSTANT)
    assert code == 0
    assert "btc-60s: MISSED: no live run performed it before its window ended\n" in text
    found = explain(made, "trend_following", AT)["cycles"][0]
    assert found["forecast"]["status"] == "not asked"
    assert (found["truth"]["status"], found["score"]["status"], found["board"]) == ("none", "none", None)

    made = competition("b", mode="replay")
    with open_runtime(made) as runtime:
        runtime.predict(made.windows.between(made.start, made.settings.competition_end))  # of which no input was built
    code, text, _ = typed("trend_following", "2026-01-05T01:15Z")
    assert code == 0
    assert "btc-60s: planned: its input is not there yet\n" in text
    assert "no input has been built for that instant" in text


def test_a_pending_one_says_what_it_waits_for(competition: Make, tmp_path: Path, typed: Explain) -> None:
    pack = json.loads(available_packs()["baseline"].read_text())
    pack["scheduled_prediction_configs"][0]["scope_template"]["horizon_seconds"] = 7200
    (tmp_path / "long.json").write_text(json.dumps(pack))
    made = competition(pack=tmp_path / "long.json")
    with open_runtime(made) as runtime:
        windows = made.windows.between(made.start, made.settings.competition_end)[:1]
        runtime.ingest(windows)
        runtime.build_inputs(windows)
        runtime.predict(windows)
    found = explain(made, "trend_following", AT)["cycles"][0]
    assert found["version"]["shown"] is False, "nothing has been ranked yet"
    assert (found["truth"]["status"], found["score"]["status"]) == ("pending", "pending")
    why = (
        "pending: simulated/BTC/candle/1m is complete through 2026-01-05T01:00:00+00:00 only; "
        "the truth needs 2026-01-05T02:15:00+00:00"
    )
    assert found["outcome"] == why
    assert found["board"]["status"] == "pending"
    assert why in typed("trend_following", INSTANT)[1]


def test_a_void_cycle_shows_the_gap(competition: Make, tape_dir: Path, typed: Explain) -> None:
    made = competition(
        feed_provider="replay",
        feed_tape_dir=tape_dir,
        competition_start="2023-03-24T12:00Z",
        competition_end="2023-03-24T13:00Z",
    )
    run(made)
    found = explain(made, "trend_following", utc("2023-03-24T12:40Z"))["cycles"][0]
    assert found["truth"]["status"] == "VOID"
    assert found["score"]["status"] == "EXEMPT"
    assert found["outcome"].startswith("EXEMPT: VOID: binance/BTC/candle/1m has no price at 2023-03-24T12:41:00+00:00")
    there, missing = found["truth"]["records"]
    assert there["record"]["ts_event"] == "2023-03-24T12:39:00+00:00"
    assert missing["record"] is None
    assert missing["last_before"] == there["record"]
    assert (missing["gap"]["state"], missing["gap"]["gap_start"]) == ("GIVEN_UP", "2023-03-24T12:40:00+00:00")
    text = typed("trend_following", "2023-03-24T12:40Z")[1]
    assert "no record; the last before is of 2023-03-24T12:39:00+00:00" in text
    assert "GIVEN_UP" in text
