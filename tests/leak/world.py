"""One schema in PostgreSQL, in which one made-up competition after another is run through the stages."""

import hashlib
import json
import math
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text

from coordinator_dagster.competition import Competition
from coordinator_dagster.errors import UserError
from coordinator_dagster.feeds.base import Heard, Offer
from coordinator_dagster.feeds.fates import Fates
from coordinator_dagster.packs import Pack, available_packs
from coordinator_dagster.replay import replay
from coordinator_dagster.runners.base import Answer, Call, ModelInfo
from coordinator_dagster.runtime import Runtime
from coordinator_dagster.store.store import Store
from slots.market import Kind, MarketRecord, Series
from tests.leak.cases import BACK, END, START, Case, Records, spec
from tests.tables import EXCLUDED

Tables = dict[str, list[dict[str, Any]]]
# Until when a row of each table belongs to what was settled by `t`.
UPTO = {
    "inference_inputs": "performed_at",
    "cycles": "performed_at",
    "forecasts": "performed_at",
    "ground_truths": "resolvable_at",
    "scores": "resolvable_at",
    "predictions": "resolvable_at",
    "score_rollups": "window_end",
    "model_scores": "computed_at",
    "leaderboards": "computed_at",
}
# Those that refer to others first.
EMPTIED = (
    "scores",
    "forecasts",
    "ground_truths",
    "cycles",
    "inference_inputs",
    "score_rollups",
    "model_scores",
    "leaderboards",
    "slot_versions",
    "market_records",
    "market_ingestion_state",
    "market_gaps",
    "market_restatements",
    "models",
    "scheduled_prediction_configs",
)
ASKED = ("inference_inputs", "cycles", "forecasts")


def tables_upto(store: Store, t: datetime) -> Tables:
    """What was asked by `t` and what was settled by `t`, without surrogate ids and wall-clock stamps."""
    return {
        table: sorted(
            (
                {name: value for name, value in row._mapping.items() if name not in EXCLUDED}
                for row in store.database.read(f"select * from {table} where {column} <= :t", t=t)
            ),
            key=repr,
        )
        for table, column in UPTO.items()
    }


def assert_same(changed: Tables, original: Tables, tables: Sequence[str] = tuple(UPTO)) -> None:
    """Row for row; the first row that differs is shown."""
    for table in tables:
        for one, other in zip(changed[table], original[table], strict=False):
            assert one == other, f"{table}: the future changed a row"
        assert len(changed[table]) == len(original[table]), f"{table}: the future changed the number of rows"


class MadeFeed:
    """A tape in memory that has ended for good; records arrive when they say."""

    name = "made"
    fixed = True
    every_bar = True

    def __init__(self, records: Records, through: datetime) -> None:
        self._records, self._through, self.fates = records, through, Fates()

    def list_assets(self) -> Sequence[Offer]:
        return [Offer(one) for one in self._records]

    def series(self, asset: str, kind: Kind, granularity: str) -> Series:
        for one in self._records:
            if (one.asset, one.kind, one.granularity) == (asset, kind, granularity):
                return one
        raise UserError(f"{asset}/{kind}/{granularity} is not made")

    def known_through(self, series: Series) -> datetime:
        return self._through

    def fetch(self, series: Series, start: datetime, end: datetime) -> Iterator[MarketRecord]:
        return (one for one in self._records[series] if start <= one.ts_event < end)

    async def listen(self, since: Mapping[Series, datetime]) -> AsyncIterator[Heard]:
        raise NotImplementedError("nothing happens on a tape that has ended")
        yield  # makes it a generator


class HashRunner:
    """Three models whose answers, and whether they answer at all, hang on every byte of the input."""

    def models(self) -> Sequence[ModelInfo]:
        return [ModelInfo(name, name, "1", name, name) for name in ("a", "b", "c")]

    def fresh(self, wait: bool = True) -> None:
        pass

    def ask(
        self, tick: bytes, calls: Sequence[Call], timeout: float, skip: Collection[str] = ()
    ) -> dict[str, list[Answer]]:
        return {one.id: [self._answer(one.id, tick, call) for call in calls] for one in self.models()}

    def _answer(self, model: str, tick: bytes, call: Call) -> Answer:
        asked = json.dumps([model, call.args, call.kwargs, json.loads(tick)], sort_keys=True)
        number = int.from_bytes(hashlib.sha256(asked.encode()).digest()[:4], "big")
        if number % 11 == 0:
            return Answer("TIMEOUT", 1.0, reason="killed after 1 s")
        value = math.nan if number % 11 == 1 else number / 2**32 - 0.5
        return Answer("SUCCESS", 0.01, {"value": value}, 1.0)

    def close(self) -> None:
        pass


@dataclass(repr=False)
class World:
    """A store that is emptied before each competition that runs in it."""

    base: Competition
    store: Store

    def competition(self, case: Case, slots: Mapping[str, str]) -> Competition:
        """The case as it would be configured; the pack's own rules say whether it is valid."""
        pack = json.loads(available_packs()["baseline"].read_text()) | {
            "id": "made",
            "series": [spec(plan.series) for plan in case.plans],
            "scheduled_prediction_configs": list(case.configs),
            "min_cycles": 2,
            "look_back_hours": case.look_back_hours,
            "input_wait_seconds": case.input_wait.total_seconds(),
        }
        settings = {"feed_candles_window": case.candles_window, "feed_backfill_minutes": BACK // timedelta(minutes=1)}
        chosen = {"MODEL_SCORE_AGGREGATOR": case.aggregator, **slots}
        paths = {name: replace(at, path=chosen.get(name, at.path)) for name, at in self.base.slot_paths.items()}
        return replace(
            self.base,
            pack=Pack.model_validate(pack),
            settings=self.base.settings.model_copy(update=settings),
            slot_paths=paths,
        )

    def runtime(self, case: Case, records: Records, through: datetime = END, **slots: str) -> Runtime:
        """The case over these records, in emptied tables, ready to run; `slots` replace its own."""
        competition = self.competition(case, slots)
        self.empty()
        self.store.configs.sync(competition.pack)
        runtime = Runtime(competition, self.store)
        runtime.__dict__ |= {"feed": MadeFeed(records, through), "runner": HashRunner()}
        return runtime

    def run(self, case: Case, records: Records, through: datetime = END) -> Tables:
        """Every stage over every window; what there was up to the case's `t`."""
        runtime = self.runtime(case, records, through)
        replay(runtime, runtime.competition.windows.between(START, END), lambda done: None)
        return tables_upto(self.store, case.t)

    def rows(self, table: str) -> list[dict[str, Any]]:
        return [dict(row._mapping) for row in self.store.database.read(f"select * from {table}")]

    def empty(self) -> None:
        """Deleting a few hundred rows is quicker than truncating their tables."""
        with self.store.database.transaction() as connection:
            connection.execute(text("; ".join(f"delete from {table}" for table in EMPTIED)))
