"""One competition, through the engine over PostgreSQL and through the backtest in memory: what both say."""

from collections.abc import Collection
from typing import Any

import pandas as pd

from coordinator_dagster.backtest.backtest import backtest
from coordinator_dagster.backtest.result import Backtest
from coordinator_dagster.competition import Competition
from coordinator_dagster.replay import replay
from coordinator_dagster.runtime import open_feed, open_runtime
from coordinator_dagster.windows import Window

FORECASTS = """
select f.performed_at, f.prediction_config_id, f.scope_key, f.model_id, f.status,
       nullif(f.meta_jsonb->>'reason', '') as reason, f.inference_output_jsonb as output, g.truth_jsonb as truth,
       s.status as score_status, s.score_value as score, s.score_failed_reason as score_reason,
       f.exec_time_ms is not null as timed
from forecasts f
left join ground_truths g using (performed_at, prediction_config_id)
left join scores s using (performed_at, prediction_config_id, model_id)
order by 1, 2, 4
"""
Rows = list[dict[str, Any]]


def windows_of(competition: Competition) -> list[Window]:
    assert competition.settings.competition_end
    return competition.windows.between(competition.start, competition.settings.competition_end)


def by_engine(competition: Competition) -> tuple[Rows, Any]:
    """Every forecast with what became of it, and the last board."""
    with open_runtime(competition) as runtime:
        replay(runtime, windows_of(competition), lambda done: None)
        rows = [dict(row._mapping) for row in runtime.store.database.read(FORECASTS)]
        return rows, runtime.store.boards.latest_leaderboard()


def in_memory(competition: Competition, private: Collection[str] = ()) -> Backtest:
    models = competition.home / competition.settings.models_dir
    return backtest(competition, models, open_feed(competition), windows_of(competition), private)


def rows_of(result: Backtest) -> Rows:
    """As `by_engine` has them."""
    frame = result.forecasts.assign(timed=result.forecasts["exec_time_ms"].notna()).drop(columns="exec_time_ms")
    rows: Rows = frame.to_dict("records")
    return [{name: None if _is_nan(value) else value for name, value in row.items()} for row in rows]


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and pd.isna(value)


def assert_same(competition: Competition) -> Backtest:
    """Both ways to the same forecasts, scores and board; the backtest."""
    rows, board = by_engine(competition)
    result = in_memory(competition)
    found = rows_of(result)
    assert rows and len(found) == len(rows)
    for one, other in zip(rows, found, strict=True):
        assert other == one
    assert result.leaderboard == board.entries_jsonb
    assert result.final == board.final
    return result
