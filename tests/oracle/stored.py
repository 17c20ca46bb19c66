"""The stored tables as frames like the oracle's, and how the two are compared."""

from typing import Any

import pandas as pd
import pytest

from coordinator_dagster.store.store import Store

# Scores and boards are kept for every version of the rules they were made by; the oracle has one.
CURRENT = "version = (select version from slot_versions where current)"


def stored_tables(store: Store) -> dict[str, pd.DataFrame]:
    """Every table that the oracle computes."""
    return {name: table(store) for name, table in TABLES.items()}


def compare(name: str, got: pd.DataFrame, want: pd.DataFrame) -> None:
    """Same rows in the same order; numbers to the last bits that a different order of adding can move."""
    assert len(got) == len(want) > 0, f"{name}: {len(got)} rows, the oracle has {len(want)}"
    for column in want.columns:
        for place, (one, other) in enumerate(zip(got[column], want[column], strict=True)):
            both = isinstance(one, float) and isinstance(other, float)
            same = one == pytest.approx(other, rel=1e-12, abs=1e-12) if both else _plain(one) == _plain(other)
            assert same, f"{name}.{column} in row {place}: {one!r}, the oracle has {other!r}\n{want.iloc[place]}"


def _plain(value: Any) -> Any:
    return None if value is None or value is pd.NaT or (isinstance(value, float) and value != value) else value


def frame(store: Store, sql: str) -> pd.DataFrame:
    rows = [dict(row._mapping) for row in store.database.read(sql)]
    return pd.DataFrame(rows, dtype=object)


def forecasts(store: Store) -> pd.DataFrame:
    """What the models answered: not the oracle's to compute, but what it starts from."""
    return frame(
        store,
        "select model_id, prediction_config_id, performed_at, status, inference_output_jsonb as output "
        "from forecasts order by performed_at, prediction_config_id, model_id",
    )


def cycles(store: Store) -> pd.DataFrame:
    return frame(
        store,
        "select prediction_config_id, performed_at, resolvable_at, window_start, status, scope_key, "
        "cut_off from cycles order by performed_at, prediction_config_id",
    )


def inputs(store: Store) -> pd.DataFrame:
    return frame(
        store,
        "select performed_at, payload_jsonb->>'symbol' as symbol, "
        "(payload_jsonb->>'asof_ts')::bigint as asof_ts, payload_jsonb->'candles_1m' as candles "
        "from inference_inputs order by performed_at",
    )


def truths(store: Store) -> pd.DataFrame:
    def number(name: str) -> str:
        return f"(truth_jsonb->>'{name}')::float8 as \"{name}\""

    return frame(
        store,
        f"select prediction_config_id, performed_at, resolvable_at, status, {number('entry_price')}, "
        f"{number('resolved_price')}, {number('return')}, (truth_jsonb->>'y_up')::bool as y_up, "
        "truth_jsonb->>'resolved_market_time' as resolved_market_time, "
        "truth_jsonb->>'source' as source, truth_jsonb->>'asset' as asset "
        "from ground_truths order by performed_at, prediction_config_id",
    )


def scores(store: Store) -> pd.DataFrame:
    return frame(
        store,
        "select model_id, prediction_config_id, performed_at, status, score_value from scores "
        f"where {CURRENT} order by performed_at, prediction_config_id, model_id",
    )


def boards(store: Store) -> pd.DataFrame:
    def metric(name: str) -> str:
        return f"(e->'score'->'metrics'->>'{name}')::float8 as {name}"

    return frame(
        store,
        "select window_start, computed_at, e->>'model_id' as model_id, "
        f"{metric('recent')}, {metric('steady')}, {metric('anchor')}, (e->>'rank')::int as rank, "
        "(e->'score'->'payload'->>'due')::int as due, "
        "(e->'score'->'payload'->>'answered')::int as answered "
        "from leaderboards, jsonb_array_elements(entries_jsonb) with ordinality as x(e, place) "
        f"where {CURRENT} order by window_start, place",
    )


def final(store: Store) -> pd.DataFrame:
    return frame(store, f"select window_start, final from leaderboards where {CURRENT} order by window_start")


TABLES = {
    "cycles": cycles,
    "inputs": inputs,
    "truths": truths,
    "scores": scores,
    "boards": boards,
    "final": final,
}
