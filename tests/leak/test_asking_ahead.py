"""A slot that asks its tape for one millisecond more gets an error that names it, and stores nothing."""

from collections.abc import Callable
from datetime import timedelta

import dagster as dg
import pytest

from coordinator_dagster.code_location import build_definitions
from coordinator_dagster.competition import Competition
from coordinator_dagster.runtime import open_runtime
from coordinator_dagster.stages.facts import StageFailed
from slots.loader import SlotFailure
from slots.market import Series
from slots.tape import FutureError
from tests.leak.cases import END, SERIES, START, dense_case
from tests.leak.peeking import peeks
from tests.leak.world import World
from tests.tables import row_counts

pytestmark = pytest.mark.leak
WAYS = ["records", "frame", "price"]
of_each_series = pytest.mark.parametrize("series", SERIES, ids=lambda one: f"{one.kind}-{one.granularity}")
in_each_way = pytest.mark.parametrize("way", WAYS)


@of_each_series
@in_each_way
def test_the_input_is_not_built(world: World, series: Series, way: str) -> None:
    case, path = dense_case(series), f"tests.leak.peeking:input_by_{way}"
    runtime = world.runtime(case, case.records, RAW_INPUT_PROVIDER=path)
    windows = runtime.competition.windows.between(START, END)
    runtime.ingest(windows)
    with pytest.raises(SlotFailure, match=f"RAW_INPUT_PROVIDER={path} .*FutureError: asked for BTC ") as failed:
        runtime.build_inputs(windows)
    assert isinstance(failed.value.__cause__, FutureError)
    assert runtime.predict(windows).performed == 0
    assert world.rows("inference_inputs") == world.rows("forecasts") == []
    assert {row["status"] for row in world.rows("cycles")} == {"planned"}


@of_each_series
@in_each_way
def test_the_truth_is_not_stored_and_the_others_are(world: World, series: Series, way: str) -> None:
    case, path = dense_case(series), f"tests.leak.peeking:truth_by_{way}"
    runtime = world.runtime(case, case.records, GROUND_TRUTH_RESOLVER=path)
    windows = runtime.competition.windows.between(START, END)
    runtime.ingest(windows)
    runtime.build_inputs(windows)
    runtime.predict(windows)
    with pytest.raises(StageFailed) as failed:
        runtime.resolve(windows)
    runtime.score(windows)
    # Nothing that is over before the next candle's end is still to come.
    through = END + max(series.step - timedelta(microseconds=1), timedelta(0))
    due = {row["performed_at"] for row in world.rows("cycles") if row["resolvable_at"] <= through}
    ahead = {at for at in due if peeks(at)}
    assert len(failed.value.faults) == len(ahead) > 0
    for fault, at in zip(failed.value.faults, sorted(ahead), strict=True):
        assert fault.startswith(f"dense at {at.isoformat()}: GROUND_TRUTH_RESOLVER={path} ")
        assert "FutureError: asked for BTC " in fault
    for table in ("ground_truths", "scores"):
        assert {row["performed_at"] for row in world.rows(table)} == due - ahead, table


@pytest.mark.parametrize(
    ("slot", "path", "stored", "not_stored"),
    [
        ("RAW_INPUT_PROVIDER", "input_by_records", "market_records", ["inference_inputs", "cycles", "forecasts"]),
        ("GROUND_TRUTH_RESOLVER", "truth_by_price", "ground_truths", ["scores", "model_scores", "leaderboards"]),
    ],
)
def test_the_asset_fails_and_what_hangs_on_it_is_not_made(
    competition: Callable[..., Competition], slot: str, path: str, stored: str, not_stored: list[str]
) -> None:
    made = competition(competition_end="2026-01-05T01:00Z", **{slot.lower(): f"tests.leak.peeking:{path}"})
    job = build_definitions(made).resolve_job_def(f"{made.schema}_loop")
    with dg.DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(instance=instance, partition_key="2026-01-05-00:00", raise_on_error=False)
    assert not result.success
    failures = [event.step_failure_data.error for event in result.all_events if event.is_step_failure]
    [shown] = [str(one) for one in failures]
    assert f"{slot}=tests.leak.peeking:{path}" in shown
    assert "FutureError: asked for BTC " in shown
    with open_runtime(made) as runtime:
        counts = row_counts(runtime.store)
        assert counts[stored] > 0
        assert {table: counts[table] for table in not_stored} == dict.fromkeys(not_stored, 0)
