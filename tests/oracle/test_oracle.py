"""The database equals an independent brute-force computation, row for row, on three real days."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from coordinator_dagster.competition import Competition
from coordinator_dagster.replay import replay
from coordinator_dagster.runtime import open_runtime
from tests.oracle.oracle import expected
from tests.oracle.stored import compare, forecasts, frame, stored_tables

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
        answers = forecasts(store)
        assert len(answers) == 3 * len(frame(store, "select * from cycles")), "every model in every cycle"
        assert set(answers.status) == {"SUCCESS"}
        want = expected(tape_dir / "binance_BTC_candle_1m.csv.gz", rules, START, END, answers)
        for name, got in stored_tables(store).items():
            compare(name, got, want[name])
        void = frame(
            store,
            "select prediction_config_id as config, count(*) as n from ground_truths where status = 'VOID' group by 1",
        )
        assert dict(zip(void.config, void.n, strict=True)) == VOID[pack]
