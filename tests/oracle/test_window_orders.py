"""Settling is a function: whatever the order of the windows, the same tables, byte for byte."""

import random
import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import zip_longest
from pathlib import Path

import pytest
from sqlalchemy import text

from coordinator_dagster.competition import Competition
from coordinator_dagster.runtime import open_runtime
from coordinator_dagster.windows import WINDOWS_AT_ONCE, Window, stretches
from tests.conftest import PROJECT
from tests.oracle.settling import settle
from tests.tables import settled_tables

START, END = datetime(2023, 3, 23, tzinfo=UTC), datetime(2023, 3, 26, tzinfo=UTC)
# Charges depend on what the other models answered; this one answers two instants of three.
FLAKY = """from slots.tracker import TrackerBase
class Model(TrackerBase):
    def tick(self, data):
        self.n = data["asof_ts"] // 300
    def predict(self, asset, horizon, step):
        if self.n % 3 == 0:
            raise RuntimeError("no idea")
        return {"value": 1e-4}
"""
FORGET = """
    truncate ground_truths, scores, score_rollups, model_scores, leaderboards, slot_versions;
    update models set overall_score_jsonb = null, scores_by_scope_jsonb = '[]', meta_jsonb = '{}'
"""


def straight(windows: Sequence[Window]) -> list[Sequence[Window]]:
    """A day at a time, as a replay does."""
    return list(stretches(windows, WINDOWS_AT_ONCE))


def shuffled(windows: Sequence[Window], seed: int, at_most: int) -> list[Sequence[Window]]:
    """Cut into runs of up to so many windows, in a random order: a sensor settles one, a backfill several."""
    chance, left, order = random.Random(seed), list(windows), []
    while left:
        size = chance.randint(1, at_most)
        order.append(left[:size])
        del left[:size]
    chance.shuffle(order)
    return order


@pytest.fixture
def predicted(
    competition: Callable[..., Competition], model_folder: Callable[[str, str], Path], tape_dir: Path
) -> Competition:
    """Three days of forecasts, none of them settled."""
    folder = model_folder("flaky", FLAKY)
    for example in (PROJECT / "examples" / "models").iterdir():
        shutil.copytree(example, folder / example.name)
    made = competition(
        feed_provider="replay",
        feed_tape_dir=tape_dir,
        pack="tournament",
        competition_start=START.isoformat(),
        competition_end=END.isoformat(),
        models_dir=folder,
    )
    windows = made.windows.between(START, END)
    with open_runtime(made) as runtime:
        runtime.ingest(windows)
        runtime.build_inputs(windows)
        runtime.predict(windows)
    return made


def settled(made: Competition, order: Sequence[Sequence[Window]]) -> dict[str, list[str]]:
    """Each table's rows as text after settling in that order; what was settled is forgotten again."""
    with open_runtime(made) as runtime:
        for windows in order:
            settle(runtime, windows)
        tables = {name: [repr(row) for row in rows] for name, rows in settled_tables(runtime.store).items()}
        with runtime.store.database.transaction() as connection:
            connection.execute(text(FORGET))
    return tables


@pytest.mark.oracle
def test_any_order_of_windows_gives_the_same_tables(predicted: Competition) -> None:
    windows = predicted.windows.between(START, END)
    want = settled(predicted, straight(windows))
    assert len(want["forecasts"]) == len(want["scores"]) == 4 * 72 * 16, "four models, sixteen cycles an hour"
    assert len(want["leaderboards"]) == 72
    assert any("'CHARGED'" in row for row in want["scores"]) and any("'VOID'" in row for row in want["ground_truths"])
    # A window settled alone computes all later boards anew: 72 of them are slow, so the other two have runs.
    for seed, at_most in ((1, 1), (2, 6), (3, 12)):
        got = settled(predicted, shuffled(windows, seed, at_most))
        assert got.keys() == want.keys()
        for name, rows in want.items():
            differing = [pair for pair in zip_longest(got[name], rows) if pair[0] != pair[1]]
            assert not differing, f"{name}, seed {seed}: {len(differing)} rows differ, the first:\n{differing[0]}"
