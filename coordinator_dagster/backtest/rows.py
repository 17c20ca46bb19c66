"""The forecasts of a backtest with what became of them, as a frame."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from coordinator_dagster.backtest.tables import KeptCycle, Tables, thawed

COLUMNS = (
    "performed_at",
    "prediction_config_id",
    "scope_key",
    "model_id",
    "status",
    "reason",
    "output",
    "truth",
    "score_status",
    "score",
    "score_reason",
    "exec_time_ms",
)


def forecasts(tables: Tables) -> pd.DataFrame:
    """A row for each forecast, by time, config and model.

    `performed_at` is in UTC; `output` and `truth` are dicts; `score_status` is SCORED, CHARGED or EXEMPT; a number
    that is not there is NaN, anything else None.
    """
    rows = [row for key in sorted(tables.cycles) for row in _rows(tables.cycles[key])]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    numbers = {"score": float, "exec_time_ms": float}
    return frame.astype({"performed_at": "datetime64[us, UTC]", **numbers})


def _rows(kept: KeptCycle) -> Iterator[tuple[Any, ...]]:
    cycle, truth = kept.cycle, thawed(kept.truth.content) if kept.truth else None
    for one in kept.forecasts:
        score = kept.scores.get(one.model_id)
        yield (
            cycle.performed_at,
            cycle.config_id,
            cycle.scope_key,
            one.model_id,
            one.status,
            one.reason or None,
            thawed(one.output),
            truth,
            score.status if score else None,
            score.value if score else None,
            score.reason if score else None,
            one.exec_time_ms,
        )
