"""Numbers that are none: they cost the one who gave them, and nobody else."""

import math
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from coordinator_dagster.code_location import build_definitions
from coordinator_dagster.competition import Competition
from coordinator_dagster.replay import replay
from coordinator_dagster.runtime import Runtime
from tests.original_faults import odd_slots
from tests.original_faults.world import (
    MINUTE,
    ODD_SLOTS,
    START,
    Script,
    always,
    market,
    newest_board,
    opened,
    perform,
    rows,
    said,
    settle,
    true_score,
    windows_of,
)

Make = Callable[..., Competition]
SCORER = f"{ODD_SLOTS}:score_by_note"
SPOILED = START + 7 * MINUTE
WORST = -500.0


def spoiled(notes: list[str]) -> dict[str, Script]:
    """Two models, of which `odd` has the scorer fail at as many instants as there are notes."""
    at = {SPOILED + place * MINUTE: note for place, note in enumerate(notes)}
    return {"even": always(0.0002), "odd": lambda t: said(0.0001, note=at[t]) if t in at else said(0.0001)}


def means(values: dict[str, float], without: int) -> dict[str, float]:
    """By hand: each model's mean score over the two hours; `odd` was charged the worst score as many times."""
    prices = market()
    instants = [START + place * MINUTE for place in range(120)]
    lost = {SPOILED + place * MINUTE for place in range(without)}
    return {
        model: math.fsum(own + [WORST] * (120 - len(own))) / 120
        for model, value in values.items()
        if (own := [true_score(prices, t, MINUTE, value) for t in instants if model == "even" or t not in lost])
    }


def assert_the_rest_stands(runtime: Runtime, lost: int) -> None:
    """All other forecasts are scored, and both boards have both models' means with the charges."""
    counts = rows(runtime, "select model_id, status, count(*) as n from scores group by 1, 2 order by 1, 2")
    assert [tuple(row.values()) for row in counts] == [
        ("even", "SCORED", 120),
        ("odd", "CHARGED", lost),
        ("odd", "SCORED", 120 - lost),
    ]
    assert rows(runtime, "select count(*) as n from leaderboards where final") == [{"n": 2}]
    board, expected = newest_board(runtime), means({"even": 0.0002, "odd": 0.0001}, lost)
    assert {model: one["anchor"] for model, one in board.items()} == pytest.approx(expected, rel=1e-12)
    assert sorted(one["rank"] for one in board.values()) == [1, 2]


def test_one_nan_score_stored(competition: Make) -> None:
    """One NaN score stored: every later leaderboard fails, for ever."""
    notes = list(odd_slots.BAD_VALUES)
    made = competition(scoring_function=SCORER)
    with opened(made, spoiled(notes)) as runtime:
        for window in windows_of(made):
            perform(runtime, [window])
            settle(runtime, [window])
        assert_the_rest_stands(runtime, len(notes))
        refused = rows(
            runtime,
            "select score_value, score_success, due, score_failed_reason as why from scores "
            "where status = 'CHARGED' order by performed_at",
        )
        for row, bad in zip(refused, odd_slots.BAD_VALUES.values(), strict=True):
            assert (row["score_value"], row["score_success"], row["due"]) == (WORST, True, True)
            assert SCORER in row["why"] and f"{bad!r}, not a finite number" in row["why"]


def test_one_nan_score_stored_is_refused_by_the_database_too(competition: Make) -> None:
    """One NaN score stored: every later leaderboard fails, for ever."""
    made = competition(competition_end="2026-01-05T01:00Z")
    with opened(made, {"even": always(0.0002)}) as runtime:
        perform(runtime, windows_of(made))
        settle(runtime, windows_of(made))
        before = rows(runtime, "select * from scores order by performed_at")
        for value in ("NaN", "Infinity", "-Infinity"):
            change = text(f"update scores set score_value = '{value}' where performed_at = :at")
            with pytest.raises(IntegrityError, match="check"), runtime.store.database.transaction() as connection:
                connection.execute(change, {"at": SPOILED})
        assert rows(runtime, "select * from scores order by performed_at") == before


def assert_nothing_overflowed(runtime: Runtime) -> None:
    """The hour is scored whole, its sums are numbers, and there is a board."""
    assert rows(runtime, "select count(*) as n from scores") == [{"n": 120}]
    sums = rows(runtime, "select score_sum, score_sum_squares from score_rollups")
    assert all(math.isfinite(value) for row in sums for value in row.values()), sums
    assert sorted(one["rank"] for one in newest_board(runtime).values()) == [1, 2]


@pytest.mark.parametrize("value", [1e200, 1e303, 1.7e308])
def test_one_nan_score_stored_by_a_finite_answer_that_overflows(competition: Make, value: float) -> None:
    """One NaN score stored: every later leaderboard fails, for ever. A participant's number must not do it either."""
    made = competition(competition_end="2026-01-05T01:00Z")
    scripts: dict[str, Script] = {
        "even": always(0.0002),
        "huge": lambda t: said(value if t == SPOILED else 0.0002),
    }
    with opened(made, scripts) as runtime:
        perform(runtime, windows_of(made))
        settle(runtime, windows_of(made))
        assert_nothing_overflowed(runtime)
        assert newest_board(runtime)["even"]["rank"] == 1, "it paid to answer what cannot be scored"


@pytest.mark.parametrize("note", odd_slots.HUGE_VALUES)
def test_one_nan_score_stored_by_a_finite_score_that_overflows(competition: Make, note: str) -> None:
    """One NaN score stored: every later leaderboard fails, for ever. A scorer's number must not do it either."""
    made = competition(competition_end="2026-01-05T01:00Z", scoring_function=SCORER)
    scripts: dict[str, Script] = {
        "even": always(0.0002),
        "huge": lambda t: said(0.0002, note=note if t == SPOILED else None),
    }
    with opened(made, scripts) as runtime:
        perform(runtime, windows_of(made))
        settle(runtime, windows_of(made))
        assert_nothing_overflowed(runtime)


MODEL = """from slots.tracker import TrackerBase
class Model(TrackerBase):
    def tick(self, data):
        self.spoiled = data["asof_ts"] % 3600 == 420
    def predict(self, asset, horizon, step):
        return {"value": VALUE}
"""


def test_one_nan_answer_of_one_model(competition: Make, model_folder: Callable[[str, str], Path]) -> None:
    """One NaN answer of one model: the predict loop is dead until restart."""
    model_folder("even", MODEL.replace("VALUE", "0.0002"))
    folder = model_folder("odd", MODEL.replace("VALUE", "float('nan') if self.spoiled else 0.0001"))
    made = competition(models_dir=folder)
    with opened(made) as runtime:
        replay(runtime, windows_of(made), lambda done: None)
        found = rows(
            runtime,
            "select performed_at, inference_output_jsonb as output, meta_jsonb as meta from forecasts "
            "where status = 'FAILED' order by performed_at",
        )
        assert [row["performed_at"] for row in found] == [SPOILED, SPOILED + 60 * MINUTE]
        for row in found:
            assert row["output"] is None
            assert row["meta"]["raw"] == "{'value': nan}", "kept as text"
            assert "finite" in row["meta"]["reason"]
        good = rows(
            runtime,
            "select model_id, count(*) as n, min(inference_output_jsonb->>'value') as low, "
            "max(inference_output_jsonb->>'value') as high from forecasts where status = 'SUCCESS' "
            "group by 1 order by 1",
        )
        assert [tuple(row.values()) for row in good] == [
            ("even", 120, "0.0002", "0.0002"),
            ("odd", 118, "0.0001", "0.0001"),
        ]
        assert {one["rank"] for one in newest_board(runtime).values()} == {1, 2}


def test_a_scorer_that_raises_on_one_forecast(competition: Make) -> None:
    """A scorer that raises on one forecast: nothing is scored, every cycle, again and again."""
    made = competition(scoring_function=SCORER)
    with opened(made, spoiled(["raise"])) as runtime:
        perform(runtime, windows_of(made))
        runtime.resolve(windows_of(made))
        report = runtime.score(windows_of(made))
        assert (report.scored, report.charged, report.slot_failures) == (239, 1, 1)
        assert report.first_failure is not None
        assert f"SCORING_FUNCTION={SCORER}" in report.first_failure and "odd_slots.py:" in report.first_failure
        runtime.aggregate(windows_of(made))
        runtime.rank(windows_of(made))
        assert_the_rest_stands(runtime, 1)
        before = rows(runtime, "select * from scores order by performed_at, model_id")
    assert len(odd_slots.asked) == 240
    with opened(made, spoiled(["raise"])) as runtime:
        settle(runtime, windows_of(made))
        assert rows(runtime, "select * from scores order by performed_at, model_id") == before
    assert len(odd_slots.asked) == 240, "what is settled is not scored again"


def test_a_scorer_that_raises_on_one_forecast_is_named_in_the_ui(competition: Make) -> None:
    """A scorer that raises on one forecast: nothing is scored, every cycle, again and again."""
    made = competition(scoring_function=SCORER, competition_end="2026-01-05T01:00Z")
    with opened(made, spoiled(["raise"])) as runtime:
        perform(runtime, windows_of(made))
        runtime.resolve(windows_of(made))
    definitions = build_definitions(made)
    key = dg.AssetKey([made.schema, "scores"])
    job = definitions.resolve_job_def(f"{made.schema}_loop").get_subset(asset_selection={key})
    with dg.DagsterInstance.ephemeral() as instance:
        done = job.execute_in_process(instance=instance, partition_key=windows_of(made)[0].key)
        assert done.success, "one forecast does not fail the asset"
        (made_now,) = done.asset_materializations_for_node(f"{made.schema}__scores")
        assert made_now.metadata["scored"].value == 119
        assert made_now.metadata["charged"].value == 1
        failing = {one.check_name for one in done.get_asset_check_evaluations() if not one.passed}
        assert failing == {"slot_failures"}
        said_so = [one.user_message for one in instance.all_logs(done.run_id) if SCORER in one.user_message]
    assert said_so and "no score for this one" in said_so[0]
