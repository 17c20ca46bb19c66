"""A generated competition is installed, tested and run from its own files alone; its backtest equals its node.

One combination of pack and spec.json here; `make test-templates` has all of them.
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from coordinator_dagster.store.database import with_driver
from slots.market import utc
from tests.backtest.both import FORECASTS
from tests.backtest.tapes import candles, ticks
from tests.template.generating import generate, run

EVERY = [(pack, overridden) for pack in ("baseline", "realtime", "tournament") for overridden in (False, True)]
COMBINATIONS = EVERY if os.environ.get("COORDINATOR_TEST_TEMPLATES") == "all" else [("tournament", True)]
START, END = "2026-01-05T03:00Z", "2026-01-05T06:00Z"

# The operator's own slots, as the original coordinator has them: a public one and private ones.
SPEC = {
    "callables": {
        "SCORING_FUNCTION": "crunch_btc_vol.squared:score_prediction",
        "MODEL_SCORE_AGGREGATOR": "runtime_definitions.secret:aggregate_model_scores",
        "REPORT_SCHEMA_PROVIDER": "runtime_definitions.secret:report_schema",
    }
}
SQUARED = '''"""Squared errors."""


def score_prediction(prediction, ground_truth):
    error = (prediction["value"] - ground_truth["return"]) * 10_000
    return {"value": -(error**2) / 100, "success": True, "failed_reason": None}
'''
SECRET = '''"""Weights that participants must not know."""

WEIGHTS = {"House": 0.25}


def aggregate_model_scores(scored_predictions, models):
    by_model = {}
    for one in scored_predictions:
        by_model.setdefault(one.model_id, []).append(one.score.value)
    return [
        {
            "model_id": model_id,
            "model_name": models[model_id].name,
            "cruncher_name": models[model_id].player_name,
            "score": {
                "metrics": {"weighted": WEIGHTS["House"] * sum(values)},
                "ranking": {"key": "weighted", "value": WEIGHTS["House"] * sum(values), "direction": "desc"},
                "payload": {},
            },
        }
        for model_id, values in by_model.items()
    ]


def report_schema():
    column = {"id": 1, "type": "VALUE", "property": "score_weighted", "displayName": "Weighted"}
    return {"schema_version": "1", "leaderboard_columns": [column], "metrics_widgets": []}
'''
IN_PUBLIC = """
import json, sys
from crunch_btc_vol.backtest import backtest
found = backtest("examples", sys.argv[1], sys.argv[2], sys.argv[3], progress=False)
assert not {"dagster", "sqlalchemy", "psycopg2"} & set(sys.modules)
frame = found.forecasts.assign(performed_at=found.forecasts.performed_at.map(str)).drop(columns="exec_time_ms")
rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
print(json.dumps([rows, found.leaderboard, found.left_out]))
"""


@pytest.fixture
def tape(tmp_path: Path) -> Path:
    """Six hours and a half of candles with a hole, and of trades."""
    candles(tmp_path / "tape", utc("2026-01-05T00:00Z"), 400, holes={229, 230})
    return ticks(tmp_path / "tape", utc("2026-01-05T00:00Z"), 400 * 60)


@pytest.mark.template
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("pack", "overridden"), COMBINATIONS)
def test_a_generated_competition_works(
    template: Path,
    tmp_path: Path,
    tape: Path,
    database_url: str,
    schema: Callable[[str], str],
    pack: str,
    overridden: bool,
) -> None:
    public, node = generate(template, tmp_path / "w", pack=pack, spec=SPEC if overridden else "")
    if overridden:
        (public / "crunch_btc_vol" / "squared.py").write_text(SQUARED)
        (node / "runtime_definitions" / "secret.py").write_text(SECRET)
    template.rename(template.with_name("away"))  # nothing that was generated needs it
    try:
        install(node, public)
        if overridden:
            run("make", "publish", cwd=node)
        assert "passed" in run("make", "test", cwd=node)
        demo(node)
        assert "passed" in run(public / ".venv/bin/pytest", "-q", cwd=public)
        rows, board = on_the_node(node, tape, database_url, schema())
        found, leaderboard, left_out = in_a_backtest(public, tape)
    finally:
        template.with_name("away").rename(template)
    assert len(rows) == len(found) > 0
    for one, other in zip(rows, found, strict=True):
        assert other == one
    void = set() if pack == "realtime" else {"EXEMPT"}  # of trades the last one is the price
    assert {"SCORED"} | void <= {row["score_status"] for row in rows}, "some truths fall into the hole"
    if overridden:
        assert left_out == ["MODEL_SCORE_AGGREGATOR is private: there is no leaderboard"] and leaderboard is None
        assert "Weights" not in everything_in(public)
    else:
        assert left_out == [] and leaderboard == board and len(board) == 3


def install(node: Path, public: Path) -> None:
    """Each with an environment of its own, as their READMEs say."""
    run("make", "setup", f"PYTHON={sys.executable}", cwd=node)
    run(sys.executable, "-m", "venv", ".venv", cwd=public)
    run(public / ".venv/bin/pip", "install", "--quiet", "-e", ".[test]", cwd=public)


def demo(node: Path) -> None:
    """On an embedded PostgreSQL, and without a venue."""
    try:
        shown = run("make", "demo", "ARGS=--no-serve", cwd=node, FEED_BASE_URL="http://127.0.0.1:9")
        assert "simulated" in shown and "Leaderboard" in shown and "Mean reversion" in shown
    finally:
        run("scripts/coordinator", "postgres", "stop", cwd=node)


def on_the_node(node: Path, tape: Path, database_url: str, competition: str) -> tuple[list[dict[str, Any]], Any]:
    """Every forecast with what became of it, and the last board, of a replay of the tape."""
    chosen = {"COMPETITION": competition, "MODE": "replay", "COMPETITION_START": START, "DATABASE_URL": database_url}
    run("scripts/coordinator", "replay", "--tape", tape, "--from", START, "--to", END, cwd=node, **chosen)
    engine = create_engine(with_driver(database_url))
    with engine.connect() as connection:
        connection.execute(text(f"set search_path to {competition.replace('-', '_')}"))
        rows = [dict(row._mapping) for row in connection.execute(text(FORECASTS))]
        board = connection.execute(text("select entries_jsonb from leaderboards order by window_start desc limit 1"))
        entries = board.scalar_one()
    engine.dispose()
    for row in rows:
        row["performed_at"] = str(row["performed_at"].astimezone(utc(START).tzinfo))
        del row["timed"]
    return json.loads(json.dumps(rows)), entries


def in_a_backtest(public: Path, tape: Path) -> list[Any]:
    printed = run(public / ".venv/bin/python", "-c", IN_PUBLIC, tape, START, END, cwd=public)
    found: list[Any] = json.loads(printed.strip().splitlines()[-1])
    return found


def everything_in(public: Path) -> str:
    own = (path for path in public.rglob("*") if path.is_file() and ".venv" not in path.parts)
    return "\n".join(path.read_text(errors="replace") for path in own)
