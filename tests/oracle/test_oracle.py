"""The database equals an independent brute-force computation, row for row, on three real days."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from coordinator_dagster.competition import Competition
from coordinator_dagster.replay import replay
from coordinator_dagster.runtime import open_runtime
from coordinator_dagster.store.store import Store
from tests.oracle.oracle import expected

START, END = datetime(2023, 3, 23, tzinfo=UTC), datetime(2023, 3, 26, tzinfo=UTC)
VOID = {"baseline": {"btc-60s": 81}, "tournament": {"btc-in-sample": 17, "btc-out-of-sample": 7}}
PACKS = Path(__file__).parents[2] / "packs"


@pytest.fixture(scope="module", params=["baseline", "tournament"])
def pack(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def replayed(competition: Callable[..., Competition], tape_dir: Path, pack: str) -> Competition:
    made = competition(
        feed_provider="replay",
        feed_tape_dir=tape_dir,
        pack=pack,
        competition_start=START.isoformat(),
        competition_end=END.isoformat(),
    )
    with open_runtime(made) as runtime:
        replay(runtime, made.windows.between(START, END), lambda done: None)
    return made


@pytest.mark.oracle
def test_every_row_equals_the_oracle(replayed: Competition, tape_dir: Path, pack: str) -> None:
    with open_runtime(replayed) as runtime:
        store = runtime.store
        rules = json.loads((PACKS / f"{pack}.json").read_text())
        forecasts = frame(
            store,
            "select model_id, prediction_config_id, performed_at, status, "
            "inference_output_jsonb as output from forecasts",
        )
        assert len(forecasts) == 3 * len(frame(store, "select * from cycles")), "every model in every cycle"
        assert set(forecasts.status) == {"SUCCESS"}
        want = expected(tape_dir / "binance_BTC_candle_1m.csv.gz", rules, START, END, forecasts)
        for name, got in {
            "cycles": cycles(store),
            "inputs": inputs(store),
            "truths": truths(store),
            "scores": scores(store),
            "boards": boards(store),
            "final": final(store),
        }.items():
            compare(name, got, want[name])
        void = frame(
            store,
            "select prediction_config_id as config, count(*) as n from ground_truths where status = 'VOID' group by 1",
        )
        assert dict(zip(void.config, void.n, strict=True)) == VOID[pack]


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
        "order by performed_at, prediction_config_id, model_id",
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
        "order by window_start, place",
    )


def final(store: Store) -> pd.DataFrame:
    return frame(store, "select window_start, final from leaderboards order by window_start")
