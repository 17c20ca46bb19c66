"""A backtest says what the engine over PostgreSQL says: of the same tape, models and pack."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from coordinator_dagster.competition import Competition
from tests.backtest.both import assert_same
from tests.backtest.models import write
from tests.backtest.tapes import START, candles, ticks

Make = Callable[..., Competition]
OUTAGE = {"competition_start": "2023-03-24T12:00Z", "competition_end": "2023-03-24T15:00Z"}


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return write(tmp_path / "models")


def replayed(competition: Make, tape: Path, models: Path, **settings: Any) -> Competition:
    return competition(feed_provider="replay", feed_tape_dir=tape, models_dir=models, **settings)


@pytest.mark.parametrize("pack", ["baseline", "tournament"])
def test_over_a_real_outage(competition: Make, tape_dir: Path, models: Path, pack: str) -> None:
    frame = assert_same(replayed(competition, tape_dir, models, pack=pack, **OUTAGE)).forecasts
    statuses = {model: set(own["status"]) for model, own in frame.groupby("model_id")}
    assert statuses["good"] == {"SUCCESS"} and statuses["nan"] >= {"FAILED"}
    assert set(frame["score_status"]) == {"SCORED", "CHARGED", "EXEMPT"}, "an outage leaves VOID cycles"
    if pack == "baseline":
        assert statuses["raises"] == statuses["unstartable"] == {"FAILED", "SUSPENDED"}
        assert statuses["late-riser"] == {"FAILED", "SUSPENDED", "SUCCESS"}
    reasons = {model: set(own["reason"]) for model, own in frame[frame["status"] == "FAILED"].groupby("model_id")}
    assert reasons["raises"] == {"ValueError: no idea (main.py:5)"}
    assert reasons["unstartable"] == {"could not start: RuntimeError: no weights (main.py:2)"}
    assert reasons["exits"] == {"SystemExit: 3 (main.py:5)"}
    assert reasons["odd"] == {"the answer is not JSON: TypeError: a set is not JSON"}
    assert next(iter(reasons["ticks-badly"])).endswith("; tick: KeyError: 'candles' (main.py:3)")
    counts = frame[frame["model_id"] == "counts"]["output"].map(lambda one: round(one["value"] * 1e4))
    an_hour = len(counts) // 3
    assert list(counts) == list(range(1, an_hour + 1)) * 3, "what a module keeps begins anew with each window"


def test_over_a_tape_with_holes_that_begins_late_and_ends_early(
    competition: Make, models: Path, tmp_path: Path
) -> None:
    tape = candles(tmp_path / "tape", START - timedelta(minutes=20), 20 + 100, {5, 6, 30, 31, 32, 70})
    result = assert_same(replayed(competition, tape, models, competition_end="2026-01-05T03:00Z"))
    assert not result.final and "later records have not come" in result.waiting[0]
    assert "have no truth: the tape ends before it" in result.summary()
    assert result.forecasts["performed_at"].nunique() == 101


def test_two_series_of_which_one_ends_first(competition: Make, models: Path, tmp_path: Path) -> None:
    tape = candles(tmp_path / "tape", START - timedelta(hours=1), 60 + 70, {100})
    ticks(tape, START - timedelta(hours=1), 3600 + 3000)
    made = replayed(competition, tape, models, pack="realtime", competition_end="2026-01-05T01:00Z")
    assert assert_same(made).forecasts["truth"].notna().any()


def test_slots_that_ask_for_more_and_spoil_what_they_are_given_over_more_than_a_day(
    competition: Make, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Truths come after their window and after their day, and the resolver reads the input of the instant."""
    config = {"scope_key": "BTC", "scope_template": {"asset": "BTC", "horizon_seconds": 5400, "step_seconds": 60}}
    every = {"id": "long", **config, "schedule": {"every_seconds": 900}}
    (tmp_path / "spec.json").write_text(json.dumps({"scheduled_prediction_configs": [every]}))
    monkeypatch.setenv("GROUND_TRUTH_RESOLVER", "tests.backtest.slots:resolve_from_input")
    monkeypatch.setenv("SCORING_FUNCTION", "tests.backtest.slots:score_and_spoil")
    monkeypatch.setenv("MODEL_SCORE_AGGREGATOR", "tests.backtest.slots:mean_of_predictions")
    tape = candles(tmp_path / "tape", START - timedelta(hours=4), 60 * 32, {500, 501})
    made = replayed(competition, tape, models, competition_end="2026-01-06T02:00Z", feed_candles_window=5)
    found = assert_same(made).forecasts
    assert sum(one["given"] == 5 for one in found["truth"].dropna()) > 500
    later = found[(found["performed_at"] > "2026-01-05T22:30Z") & (found["performed_at"] < "2026-01-06T00:00Z")]
    assert len(later) and later["truth"].notna().all()


def test_with_days_as_windows_and_a_short_look_back(competition: Make, models: Path, tmp_path: Path) -> None:
    pack = json.loads((Path(__file__).parents[2] / "packs" / "tournament.json").read_text())
    (tmp_path / "short.json").write_text(json.dumps({**pack, "look_back_hours": 5, "missing": {"rule": "worst"}}))
    tape = candles(tmp_path / "tape", START - timedelta(hours=3), 60 * 51, {700})
    settings = {"pack": "short.json", "window": "day", "competition_end": "2026-01-07T00:00Z"}
    assert_same(replayed(competition, tape, models, **settings))
