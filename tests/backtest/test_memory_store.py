"""The store in memory answers the stages as the one in PostgreSQL does, once both have seen the same."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from coordinator_dagster.backtest import backtest
from coordinator_dagster.backtest.memory_store import MemoryStore
from coordinator_dagster.competition import Competition
from coordinator_dagster.replay import replay
from coordinator_dagster.runtime import open_feed, open_runtime
from coordinator_dagster.stages.ingest import contest_series
from tests.backtest.both import in_memory, rows_of, windows_of
from tests.backtest.models import write
from tests.backtest.tapes import START, candles

Make = Callable[..., Competition]
HOUR = timedelta(hours=1)


@pytest.fixture
def stores(monkeypatch: pytest.MonkeyPatch) -> list[MemoryStore]:
    """The stores that backtests open."""
    opened: list[MemoryStore] = []

    class Opened(MemoryStore):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            opened.append(self)

    monkeypatch.setattr(backtest, "MemoryStore", Opened)
    return opened


@pytest.fixture
def made(competition: Make, tmp_path: Path) -> Competition:
    """Three hours of the tournament on a tape that ends after two and a half."""
    tape, models = candles(tmp_path / "tape", START - HOUR, 210, {139, 140}), write(tmp_path / "models")
    settings = {"feed_provider": "replay", "feed_tape_dir": tape, "models_dir": models, "pack": "tournament"}
    return competition(competition_end="2026-01-05T03:00Z", **settings)


def answers(store: Any, made: Competition) -> dict[str, Any]:
    """What the store says to every question of the stages, but for what the wall clock says."""
    windows, version, truths = windows_of(made), made.score_version(), made.truth_version()
    span = (windows[0].start + HOUR, windows[-1].end)
    scored = store.scores.scored_predictions(*span, version)
    return {
        "schedule": [(t, one.as_slot_config()) for t, one in store.schedule(made).due(windows[0])],
        "through": store.tape.knowable_through(contest_series(made, open_feed(made))),
        "inputs": [store.inputs.instants(one) for one in windows],
        "input": store.inputs.read(windows[2].start + timedelta(minutes=25)),
        "no input": store.inputs.read(windows[-1].end),
        "cut-offs": store.inputs.cut_offs(windows[0]),
        "joined": store.cycles.joined(),
        "ended": [store.cycles.ended(one) for one in windows],
        "said": [{t: sorted(own) for t, own in store.cycles.said(one).items()} for one in windows],
        "unresolved": [_plain(one) for one in store.truths.unresolved(windows, truths)],
        "unscored": store.scores.unscored(windows, truths, version),
        "rollups": store.scores.rollups(*span, version),
        "scored": [(one.model_id, one.scope_key, one.scope, one.status, one.performed_at) for one in scored],
        "scores": [(one.inference_output, one.score.value, one.score.failed_reason) for one in scored],
        "models": list(store.boards.models().items()),
        "scored windows": store.boards.scored_windows(*span, version),
        "model scores": store.boards.model_scores(windows, version),
        "ended cycles": dict(store.boards.ended_cycles(*span, HOUR, truths, version)),
    }


def _plain(unresolved: Any) -> Any:
    cycle = unresolved.cycle
    return cycle.config_id, cycle.performed_at, cycle.resolvable_at, cycle.cut_off, cycle.answer_by, cycle.scope


def test_both_stores_answer_alike(made: Competition, stores: list[MemoryStore], monkeypatch: Any) -> None:
    with open_runtime(made) as runtime:
        replay(runtime, windows_of(made), lambda done: None)
        stored = answers(runtime.store, made)
    monkeypatch.setattr(MemoryStore, "forget", lambda *given: None)  # the inputs are asked about
    in_memory(made)
    found = answers(stores[0], made)
    for question, answer in stored.items():
        assert answer == found[question], question
    assert all(stored[one] for one in stored if one not in ("no input", "cut-offs", "unscored"))


def test_the_same_windows_again_change_nothing(
    made: Competition, stores: list[MemoryStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    once = in_memory(made)
    doing = backtest._do

    def twice(*given: Any) -> list[str]:
        doing(*given)
        before = answers(stores[-1], made)
        waiting = doing(*given)
        assert answers(stores[-1], made) == before
        return waiting

    monkeypatch.setattr(backtest, "_do", twice)
    again = in_memory(made)
    assert rows_of(again) == rows_of(once) and again.leaderboard == once.leaderboard


def test_inputs_are_kept_as_long_as_a_truth_may_need_them(
    made: Competition, stores: list[MemoryStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backtest, "WINDOWS_AT_ONCE", 1)
    kept: list[set[Any]] = []
    forget = MemoryStore.forget

    def forgotten(store: MemoryStore, *given: Any) -> None:
        forget(store, *given)
        kept.append({t for window in windows_of(made) for t in store.inputs.instants(window)})

    monkeypatch.setattr(MemoryStore, "forget", forgotten)
    in_memory(made)
    waiting = {t for t, _ in stores[0].tables.unresolved}
    assert waiting and [len(one) for one in kept[:2]] == [0, 0] and min(kept[2]) == min(waiting)
    in_memory(made, {"GROUND_TRUTH_RESOLVER"})
    assert kept[-1] == set()
