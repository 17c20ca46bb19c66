"""Absence costs, whatever it looks like; silence never beats a bad score."""

import math
from collections.abc import Callable
from datetime import datetime

import pytest

from coordinator_dagster.competition import Competition
from coordinator_dagster.runners.base import Answer
from tests.original_faults.conftest import WritePack
from tests.original_faults.world import (
    HOUR,
    MINUTE,
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
RULES = {rule: {"rule": rule, "percentile": 90} for rule in ("percentile", "worst", "skip")}
ANSWERED = {"good": 0.0, "fair": 0.001, "poor": 0.003, "bad": 0.02}
SILENCE: dict[str, Script] = {
    "failed": lambda t: Answer("FAILED", 0.01, reason="it raised"),
    "timeout": lambda t: Answer("TIMEOUT", 60.0, reason="no answer within 60 s"),
    "late": lambda t: said(0.0, elapsed=7.0),
    "nonsense": lambda t: said("up"),
    # There in the first hour, worse than the worst, then gone.
    "absent": lambda t: said(0.03) if t < START + HOUR else None,
}


@pytest.mark.parametrize("rule", RULES)
def test_absence_costs_nothing_and_silence_beats_a_bad_score(competition: Make, pack: WritePack, rule: str) -> None:
    """Absence costs nothing; silence beats a bad score."""
    scripts = {name: always(value) for name, value in ANSWERED.items()} | SILENCE
    made = competition(pack=pack(missing=RULES[rule], min_coverage=0, min_cycles=0))
    with opened(made, scripts) as runtime:
        perform(runtime, windows_of(made))
        settle(runtime, windows_of(made))
        board = newest_board(runtime)
        found = rows(runtime, "select distinct model_id, status from forecasts")
        statuses = {model: {row["status"] for row in found if row["model_id"] == model} for model in SILENCE}
    assert statuses == {
        "failed": {"FAILED", "SUSPENDED"},
        "timeout": {"TIMEOUT", "SUSPENDED"},
        "late": {"LATE"},
        "nonsense": {"FAILED", "SUSPENDED"},
        "absent": {"SUCCESS", "ABSENT"},
    }
    for silent in SILENCE:
        payload = board[silent]["score"]["payload"]
        assert (payload["due"], payload["answered"]) == (120, 60 if silent == "absent" else 0), "it owed every answer"
        if board[silent]["anchor"] is not None:
            assert board[silent]["anchor"] <= board["bad"]["anchor"], "silence beats a bad score"
            assert payload["answered"] or board[silent]["rank"] is None, "who never answers is not ranked"
            assert board[silent]["rank"] is None or board[silent]["rank"] >= board["bad"]["rank"]
        else:
            assert rule == "skip" and board[silent]["rank"] is None, "no value never outranks a value"
    assert [board[model]["rank"] for model in ANSWERED] == [1, 2, 3, 4]


def test_absence_costs_nothing_in_the_first_hour(competition: Make, pack: WritePack) -> None:
    """Absence costs nothing. Who has answered once owes the rest, from the next instant on."""
    scripts: dict[str, Script] = {"stays": always(0.001), "goes": lambda t: said(0.0) if t == START else None}
    made = competition(pack=pack(min_cycles=0), competition_end="2026-01-05T01:00Z")
    with opened(made, scripts) as runtime:
        perform(runtime, windows_of(made))
        settle(runtime, windows_of(made))
        statuses = rows(
            runtime, "select status, count(*) as n from forecasts where model_id = 'goes' group by 1 order by 2"
        )
        board = newest_board(runtime)
    assert [tuple(row.values()) for row in statuses] == [("SUCCESS", 1), ("ABSENT", 59)]
    assert (board["stays"]["rank"], board["goes"]["rank"]) == (1, None)


def test_absence_costs_nothing_when_it_is_chosen(competition: Make, pack: WritePack) -> None:
    """Absence costs nothing. Of two equal models, the one that skips the hard cycles is below the other."""
    prices = market()
    calm = lambda t: abs(prices[t + MINUTE] / prices[t] - 1) < 0.0003  # noqa: E731
    scripts: dict[str, Script] = {
        "brave": always(0.0),
        "coward": lambda t: said(0.0) if calm(t) else Answer("FAILED", 0.01, reason="too hard"),
        "fair": always(0.001),
        "bad": always(0.01),
    }
    made = competition(pack=pack(min_coverage=0), competition_end="2026-01-05T01:00Z")
    with opened(made, scripts) as runtime:
        perform(runtime, windows_of(made))
        settle(runtime, windows_of(made))
        board = newest_board(runtime)
        answered = board["coward"]["score"]["payload"]["answered"]
    assert 30 <= answered < 55, "the test would show nothing"
    assert board["coward"]["anchor"] < board["brave"]["anchor"]
    assert board["coward"]["rank"] > board["brave"]["rank"] == 1


def test_absence_costs_nothing_among_many(competition: Make, pack: WritePack) -> None:
    """Absence costs nothing. With twelve answers it costs the eleventh best, and silence stays unranked."""
    values = {f"m{place:02}": place * 0.001 for place in range(12)}
    scripts = {name: always(value) for name, value in values.items()} | {"silent": SILENCE["failed"]}
    made = competition(pack=pack(), competition_end="2026-01-05T01:00Z")
    with opened(made, scripts) as runtime:
        perform(runtime, windows_of(made))
        settle(runtime, windows_of(made))
        charged = rows(runtime, "select performed_at as t, score_value from scores where model_id = 'silent'")
        board = newest_board(runtime)
    prices = market()

    def eleventh(t: datetime) -> float:
        return sorted((true_score(prices, t, MINUTE, value) for value in values.values()), reverse=True)[10]

    assert len(charged) == 60
    assert {row["t"]: row["score_value"] for row in charged} == {row["t"]: eleventh(row["t"]) for row in charged}
    assert board["silent"]["anchor"] == pytest.approx(math.fsum(row["score_value"] for row in charged) / 60)
    assert board["silent"]["rank"] is None and "answered 0 cycles" in board["silent"]["unranked_reason"]
    assert all(board[model]["rank"] for model in values), "who answered badly is ranked above who was silent"


def test_absence_costs_nothing_even_alone(competition: Make, pack: WritePack) -> None:
    """Absence costs nothing. Where fewer than three answer there is no percentile: it costs the worst score."""
    scripts = {"bad": always(0.02), "silent": SILENCE["timeout"]}
    made = competition(pack=pack(min_coverage=0, min_cycles=0), competition_end="2026-01-05T01:00Z")
    with opened(made, scripts) as runtime:
        perform(runtime, windows_of(made))
        settle(runtime, windows_of(made))
        board = newest_board(runtime)
    assert board["silent"]["anchor"] == -500.0 < board["bad"]["anchor"]
    assert (board["bad"]["rank"], board["silent"]["rank"]) == (1, None)
