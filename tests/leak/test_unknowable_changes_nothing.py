"""Through the stages: what is not knowable at `t` changes nothing that was asked or settled by `t`."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import assume, example, given

from slots.market import MarketRecord, Series
from slots.tape import boundary
from tests.leak.cases import END, SERIES, START, Case, Change, cases, changes, dense_case
from tests.leak.effort import examples
from tests.leak.watching import MINUTE, PRICES_BEFORE, plain
from tests.leak.world import ASKED, UPTO, World, assert_same

pytestmark = pytest.mark.leak
HALF_PAST_TWO = START + timedelta(minutes=150)
EVERYTHING = Change(actions=("corrupt",), inserts=True)


@examples(1)
@given(cases(), changes)
@example(dense_case(SERIES[0], HALF_PAST_TWO), EVERYTHING)
@example(dense_case(SERIES[1], HALF_PAST_TWO), EVERYTHING)
def test_the_future_changes_nothing_up_to_t(world: World, case: Case, change: Change) -> None:
    changed = change.of_future(case)
    assume(changed != case.records)
    original = world.run(case, case.records)
    assert_same(world.run(case, changed, case.t if change.ends else END), original)


@examples(1)
@given(cases(), changes)
def test_what_came_too_late_changes_no_input_and_no_forecast(world: World, case: Case, change: Change) -> None:
    changed = change.of_late(case)
    assume(changed != case.records)
    original = world.run(case, case.records)
    assert_same(world.run(case, changed), original, ASKED)


@examples(0.3)
@given(cases())
def test_inputs_show_all_that_was_knowable_and_nothing_else(world: World, case: Case) -> None:
    found = {row["performed_at"]: row["payload_jsonb"] for row in world.run(case, case.records)["inference_inputs"]}
    assert found[case.t]
    assert found == {at: expected_input(case, at) for at in found}


def expected_input(case: Case, now: datetime) -> dict[str, Any]:
    """What the watching slot must have seen at `now`, by brute force over all records."""
    since = now - case.candles_window * MINUTE
    expected: dict[str, Any] = {"asof": now.isoformat()}
    for series in case.records:
        known = case.knowable(series, now)
        span = [one for one in known if one.event_end > since]
        expected[str(series)] = {
            "last": [plain(one) for one in known[-case.candles_window :]],
            "records": [plain(one) for one in span],
            "frame": [[one.ts_event.isoformat(), one.values] for one in span],
        }
    prices = [expected_price(case, now, now - before) for before in PRICES_BEFORE]
    return expected | {"prices": [found and plain(found) for found in prices]}


def expected_price(case: Case, now: datetime, at: datetime) -> MarketRecord | None:
    first = next(iter(case.records))
    over = [one for one in case.knowable(first, now) if one.event_end <= at]
    if first.kind == "candle":
        over = [one for one in over if one.event_end == boundary(at, first.step)]
    return over[-1] if over else None


@examples(0.3)
@given(cases())
def test_what_is_knowable_does_change_what_is_asked(world: World, case: Case) -> None:
    """The other tests would notice: the newest knowable record reaches the input and every model."""
    first = next(iter(case.records))
    known = case.knowable(first, case.t)
    assume(known)
    newest = replace(known[-1], values={name: value + 1 for name, value in known[-1].values.items()})
    own = [newest if one == known[-1] else one for one in case.records[first]]
    original, changed = world.run(case, case.records), world.run(case, {**case.records, first: own})
    for table in ASKED[::2]:
        before, after = ([row for row in one[table] if row["performed_at"] == case.t] for one in (original, changed))
        assert len(before) == len(after) > 0
        assert before != after, table


@pytest.mark.parametrize("series", SERIES, ids=lambda one: f"{one.kind}-{one.granularity}")
def test_what_was_over_does_change_what_is_settled(world: World, series: Series) -> None:
    """The other tests would notice: other prices up to `t` make other truths, scores and boards."""
    case = dense_case(series, HALF_PAST_TWO)
    name = "price" if series.kind == "tick" else "close"
    changed = [
        replace(one, values=one.values | {name: one.price * (1 + place / 1000)})
        for place, one in enumerate(case.records[series], 1)
    ]
    original, after = world.run(case, case.records), world.run(case, {series: changed})
    for table in set(UPTO) - {"cycles"}:
        assert len(after[table]) == len(original[table]) > 0
        assert after[table] != original[table], table
