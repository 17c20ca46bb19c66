"""Boards: windows are windows, and contributions are by cycle."""

import math
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from coordinator_dagster.competition import Competition
from tests.original_faults.conftest import WritePack
from tests.original_faults.world import (
    HOUR,
    MINUTE,
    ODD_SLOTS,
    START,
    Script,
    always,
    market,
    newest_board,
    opened,
    perform,
    said,
    settle,
    true_score,
    windows_of,
)

Make = Callable[..., Competition]
DAYS = 9


def test_recent_steady_and_anchor_are_the_same_number(competition: Make, pack: WritePack) -> None:
    """Recent, steady and anchor are the same number. Here each is the mean over its own trailing hours."""
    horizon, end = timedelta(minutes=30), START + DAYS * 24 * HOUR
    values: dict[str, Callable[[datetime], float]] = {
        "steady": lambda t: 0.0004,
        "learning": lambda t: 0.01 / (1 + (t - START) / timedelta(days=1)),
    }
    scripts: dict[str, Script] = {name: lambda t, value=value: said(value(t)) for name, value in values.items()}
    made = competition(pack=pack(3600, 1800), window="day", competition_end=end.isoformat())
    with opened(made, scripts) as runtime:
        perform(runtime, windows_of(made))
        settle(runtime, windows_of(made))
        board = newest_board(runtime)
    prices = market(START, end)
    for name, value in values.items():
        for metric, hours in {"recent": 24, "steady": 72, "anchor": 168}.items():
            instants = [START + hour * HOUR for hour in range(DAYS * 24)]
            own = [
                true_score(prices, t, horizon, value(t)) for t in instants if end - hours * HOUR < t + horizon <= end
            ]
            assert len(own) == hours
            assert board[name][metric] == pytest.approx(math.fsum(own) / hours, rel=1e-12), (name, metric)
        assert len({board[name][metric] for metric in ("recent", "steady", "anchor")}) == 3


def test_contribution_metrics_align_by_list_position(competition: Make) -> None:
    """Contribution metrics align by list position. An aggregator gets what it takes to align them by cycle."""
    made = competition(
        pack="tournament",
        model_score_aggregator=f"{ODD_SLOTS}:mean_contributions",
        competition_end="2026-01-05T01:00Z",
    )
    joins = START + 30 * MINUTE
    scripts: dict[str, Script] = {
        "first": always(0.0003),
        "second": always(-0.0001),
        "late": lambda t: said(0.0012) if t >= joins else None,
    }
    with opened(made, scripts) as runtime:
        perform(runtime, windows_of(made))
        settle(runtime, windows_of(made))
        found = {model: one["contribution"] for model, one in newest_board(runtime).items()}
    prices, values = market(), {"first": 0.0003, "second": -0.0001, "late": 0.0012}
    cycles = [
        {
            model: true_score(prices, START + minute * MINUTE, length * MINUTE, value)
            for model, value in values.items()
            if model != "late" or minute >= 30
        }
        for length in (5, 15)
        for minute in range(0, 60, length)
        if minute + length <= 60
    ]
    assert {model: sum(model in cycle for cycle in cycles) for model in values} == {
        "first": 16,
        "second": 16,
        "late": 8,
    }
    assert found == pytest.approx({model: _by_cycle(model, cycles) for model in values}, rel=1e-9)
    assert found["late"] != pytest.approx(_by_position("late", cycles), rel=1e-3), "the test would show nothing"


def _by_cycle(model: str, cycles: list[dict[str, float]]) -> float:
    gains = []
    for cycle in cycles:
        if model in cycle:
            others = [score for name, score in cycle.items() if name != model]
            gains.append(cycle[model] - sum(others) / len(others))
    return sum(gains) / len(gains)


def _by_position(model: str, cycles: list[dict[str, float]]) -> float:
    """As the original did: the newcomer's first score beside the others' first."""
    lists = {name: [cycle[name] for cycle in cycles if name in cycle] for name in cycles[-1]}
    aligned = [dict(zip(lists, scores, strict=True)) for scores in zip(*lists.values(), strict=False)]
    return _by_cycle(model, aligned)
