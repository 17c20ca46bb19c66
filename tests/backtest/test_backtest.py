"""The backtest as a participant uses it: settings of his own, classes, private slots, and what he gets."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from coordinator_dagster.backtest.backtest import backtest
from coordinator_dagster.clock import FixedClock
from coordinator_dagster.competition import Competition
from coordinator_dagster.errors import UserError, UserErrors
from coordinator_dagster.feeds.base import Feed
from coordinator_dagster.feeds.replay import ReplayFeed
from coordinator_dagster.feeds.simulated import SimulatedFeed
from coordinator_dagster.packs import Pack
from coordinator_dagster.settings import Settings
from slots.contracts import SLOT_NAMES
from slots.loader import SlotPath
from slots.tracker import TrackerBase
from tests.backtest.both import rows_of, windows_of
from tests.backtest.tapes import START, candles

PACK = Path(__file__).parents[2] / "packs" / "baseline.json"
HOUR = timedelta(hours=1)


class Zero(TrackerBase):
    def tick(self, data: dict[str, Any]) -> None: ...

    def predict(self, asset: str, horizon: int, step: int) -> dict[str, Any]:
        return {"value": 0.0}


class Sure(Zero):
    """Forecasts text, which the contest's validator refuses."""

    def predict(self, asset: str, horizon: int, step: int) -> Any:
        return {"value": "up"} if horizon else "up"


class Silent(Zero):
    def predict(self, asset: str, horizon: int, step: int) -> Any:
        return [0.0]


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Competition:
    """Three hours of the baseline, of nothing that the environment says."""
    for name, value in {"COMPETITION_START": "nonsense", "PACK": "none", "DATABASE_URL": "postgresql://nobody"}.items():
        monkeypatch.setenv(name, value)
    pack = Pack.model_validate(json.loads(PACK.read_text()))
    settings = Settings.model_construct(mode="live", competition_start=START, competition_end=START + 3 * HOUR)
    return Competition(tmp_path, settings, pack, {n: SlotPath(n, path, "pack") for n, path in pack.callables.items()})


@pytest.fixture
def feed(tmp_path: Path) -> Feed:
    tape = candles(tmp_path / "tape", START - 3 * HOUR, 60 * 6, {200, 201})
    return ReplayFeed(tape, None, FixedClock(START))


def test_a_notebooks_classes_are_scored_and_ranked(own: Competition, feed: Feed, tmp_path: Path) -> None:
    done: list[int] = []
    result = backtest(own, {"zero": Zero, "sure": Sure}, feed, windows_of(own), progress=done.append)
    assert sum(done) == 3
    frame = result.forecasts
    assert list(frame.columns) == [
        *("performed_at", "prediction_config_id", "scope_key", "model_id", "status", "reason", "output", "truth"),
        *("score_status", "score", "score_reason", "exec_time_ms"),
    ]
    assert len(frame) == 2 * 180 and str(frame["performed_at"].dtype) == "datetime64[us, UTC]"
    assert result.leaderboard and [one["model_id"] for one in result.leaderboard] == ["zero", "sure"]
    assert result.leaderboard[0]["rank"] == 1 and result.final and not result.left_out
    told = result.summary()
    assert "360 forecasts from 2026-01-05 00:00 to 2026-01-05 02:59 UTC" in told
    assert "zero: 180 SUCCESS; mean score -" in told
    assert "the last failure: ValueError: value must be a finite number, got 'up'" in told
    assert "leaderboard\nrank  model" in told and "177/177" in told
    result.plot(tmp_path / "scores.png")
    assert (tmp_path / "scores.png").read_bytes().startswith(b"\x89PNG")
    figure = result.plot()
    assert isinstance(figure, Figure)
    (zero,) = [line for line in figure.axes[0].lines if line.get_label() == "zero"]
    scores = frame[(frame["model_id"] == "zero") & frame["score"].notna()]["score"]
    assert zero.get_ydata()[-1] == pytest.approx(scores.mean()) and len(zero.get_ydata()) == len(scores)


def test_later_windows_alone_say_what_they_say_with_the_earlier_ones(own: Competition, feed: Feed) -> None:
    models, windows = {"zero": Zero}, windows_of(own)
    alone = rows_of(backtest(own, models, feed, windows[2:]))
    assert alone and alone == [
        row for row in rows_of(backtest(own, models, feed, windows)) if row["performed_at"] >= windows[2].start
    ]


def test_nothing_is_asked_after_the_end_nor_where_the_tape_has_nothing(own: Competition, feed: Feed) -> None:
    longer = own.windows.between(START, START + 4 * HOUR)
    assert len(backtest(own, {"zero": Zero}, feed, longer).forecasts) == 180
    after = {"competition_start": START + 9 * HOUR, "competition_end": None}
    later = replace(own, settings=own.settings.model_copy(update=after))
    nothing = backtest(later, {"zero": Zero}, feed, later.windows.between(later.start, later.start + HOUR))
    assert not len(nothing.forecasts) and nothing.leaderboard == []
    assert nothing.summary() == "no forecasts: the tape holds nothing of these hours"


def test_without_windows_there_is_nothing(own: Competition, feed: Feed) -> None:
    result = backtest(own, {"zero": Zero}, feed, [])
    assert (len(result.forecasts), result.leaderboard, result.summary()) == (0, None, "no forecasts")
    assert result.plot().axes[0].get_title() == "nothing has a score"


PRIVATE = {
    "MODEL_SCORE_AGGREGATOR": (True, True, False),
    "LEADERBOARD_RANKER": (True, True, False),
    "SCORING_FUNCTION": (True, False, False),
    "GROUND_TRUTH_RESOLVER": (False, False, False),
    "INFERENCE_OUTPUT_VALIDATOR": (True, True, True),
    "REPORT_SCHEMA_PROVIDER": (True, True, True),
}


@pytest.mark.parametrize("slot", PRIVATE)
def test_private_slots_leave_out_what_needs_them_and_nothing_else(own: Competition, feed: Feed, slot: str) -> None:
    """Their paths name nothing that could be loaded; what is not left out is what it is with them."""
    whole = backtest(own, {"zero": Zero}, feed, windows_of(own))
    hidden = replace(own, slot_paths={**own.slot_paths, slot: SlotPath(slot, "operators.secret:slot", "pack")})
    result = backtest(hidden, {"zero": Zero}, feed, windows_of(own), {slot})
    truths, scores, board = PRIVATE[slot]
    absent = [*([] if truths else ["truth"]), *([] if scores else ["score_status", "score", "score_reason"])]
    assert rows_of(result) == [row | dict.fromkeys(absent) for row in rows_of(whole)]
    assert result.leaderboard == (whole.leaderboard if board else None)
    assert [slot in one for one in result.left_out] == ([] if slot == "REPORT_SCHEMA_PROVIDER" else [True])
    assert all(one in result.summary() for one in result.left_out)


def test_without_the_validator_any_object_is_an_answer(own: Competition, feed: Feed) -> None:
    models = {"sure": Sure, "silent": Silent}
    found = backtest(
        own, models, feed, windows_of(own)[:1], {"INFERENCE_OUTPUT_VALIDATOR", "SCORING_FUNCTION"}
    ).forecasts
    sure, silent = (found[found["model_id"] == name] for name in ("sure", "silent"))
    assert set(sure["status"]) == {"SUCCESS"} and sure["output"].iloc[0] == {"value": "up"}
    assert "ValueError: the answer must be a JSON object, got [0.0]" in silent["reason"].iloc[0]


def test_without_what_models_are_asked_by_a_backtest_is_impossible(own: Competition, feed: Feed) -> None:
    needed = set(SLOT_NAMES) - set(PRIVATE)
    for slot in needed:
        with pytest.raises(UserErrors, match=rf"{slot} is private \(.*a backtest is impossible"):
            backtest(own, {"zero": Zero}, feed, windows_of(own), {slot})
    with pytest.raises(UserErrors) as told:
        backtest(own, {"zero": Zero}, feed, windows_of(own), {*needed, "SCORING_FUNCTON"})
    assert len(told.value.faults) == 5
    assert "SCORING_FUNCTON: there is no such slot (did you mean SCORING_FUNCTION?)" in told.value.faults


def test_a_market_that_goes_on_is_no_tape(own: Competition) -> None:
    market = SimulatedFeed(["BTC"], 1, FixedClock(START + 3 * HOUR))
    with pytest.raises(UserError, match="a backtest needs a recorded tape"):
        backtest(own, {"zero": Zero}, market, windows_of(own))
