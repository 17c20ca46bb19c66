"""The tape shows what was known at its moment, and nothing else."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from slots.market import MarketRecord, Series, history_record, utc
from slots.tape import FutureError, MemorySource, Tape, boundary

START = datetime(2024, 1, 1, tzinfo=UTC)
CANDLES = Series("test", "BTC", "candle", "1m")
TICKS = Series("test", "BTC", "tick", "1s")
MS = timedelta(milliseconds=1)
moments = st.integers(0, 20 * 60_000).map(lambda ms: START + ms * MS)
delays = st.integers(0, 5 * 60_000).map(lambda ms: ms * MS)


def candle(minute: int, delay: timedelta = timedelta(0)) -> MarketRecord:
    """The candle that opens at that minute, its close the minute; it arrives `delay` after its end."""
    values = {"open": 1.0, "high": 99.0, "low": 1.0, "close": float(minute + 1), "volume": 0.0}
    return history_record(CANDLES, START + timedelta(minutes=minute), values, delay)


def tick(ms: int, delay: timedelta = timedelta(0)) -> MarketRecord:
    return history_record(TICKS, START + ms * MS, {"price": float(ms + 1)}, delay)


def delayed(record: Any, most: int) -> st.SearchStrategy[list[MarketRecord]]:
    """Records at distinct times, in order, each with a delay of its own."""
    return st.dictionaries(st.integers(0, most), delays).map(
        lambda found: [record(at, delay) for at, delay in sorted(found.items())]
    )


tapes = st.builds(
    lambda candles, ticks, now, wait, series: Tape(
        MemorySource({CANDLES: candles, TICKS: ticks}), now, series, None if wait is None else now + wait
    ),
    delayed(candle, 19),
    delayed(tick, 20 * 60_000),
    moments,
    st.none() | delays,
    st.permutations([CANDLES, TICKS]).map(tuple),
)


def known(tape: Tape, series: Series) -> list[MarketRecord]:
    """By the definition: over by now, arrived by the cut-off."""
    own = tape._source.between(series, START - timedelta(days=1), START + timedelta(days=1))
    late = tape.cut_off or datetime.max.replace(tzinfo=UTC)
    return [one for one in own if one.event_end <= tape.now and one.known_at <= late]


@given(tapes, st.integers(1, 30))
def test_last_gives_the_newest_known_records(tape: Tape, count: int) -> None:
    for series in (CANDLES, TICKS):
        found = tape.last("BTC", series.kind, series.granularity, count)
        assert found == known(tape, series)[-count:]


@given(tapes, moments, moments)
def test_records_and_frame_give_the_known_ones_of_the_range(tape: Tape, start: datetime, end: datetime) -> None:
    assume(end <= tape.now)
    for series in (CANDLES, TICKS):
        expected = [one for one in known(tape, series) if start < one.event_end <= end]
        assert tape.records("BTC", start, end, series.kind, series.granularity) == expected
        frame = tape.frame("BTC", start, end, series.kind, series.granularity)
        assert list(frame.index) == [one.ts_event for one in expected]
        assert str(frame.index.tz) == "UTC"
        assert frame.to_dict("records") == [one.values for one in expected]


@given(tapes, moments)
def test_price_is_that_of_the_newest_known_record(tape: Tape, at: datetime) -> None:
    assume(at <= tape.now)
    first = tape.series[0]
    over = [one for one in known(tape, first) if one.event_end <= at]
    if first == CANDLES:
        over = [one for one in over if one.event_end == boundary(at, first.step)]
    assert tape.price("BTC", at) == (over[-1] if over else None)


@given(tapes, st.timedeltas(MS, timedelta(days=1)))
def test_asking_past_now_is_refused(tape: Tape, ahead: timedelta) -> None:
    with pytest.raises(FutureError, match="but it is"):
        tape.price("BTC", tape.now + ahead)
    for ask in (tape.records, tape.frame):
        with pytest.raises(FutureError, match="but it is"):
            ask("BTC", tape.now, tape.now + ahead)


def test_a_candle_price_needs_the_candle_that_closes_at_the_last_boundary() -> None:
    tape = Tape(MemorySource({CANDLES: [candle(0), candle(2)]}), START + timedelta(minutes=5), (CANDLES,))

    def price(seconds: int) -> float | None:
        found = tape.price("BTC", START + timedelta(seconds=seconds))
        return found and found.price

    assert [price(at) for at in (59, 60, 119, 120, 179, 180, 239, 240)] == [None, 1, 1, None, None, 3, 3, None]


def test_a_quiet_market_has_its_last_price() -> None:
    tape = Tape(MemorySource({TICKS: [tick(0), tick(1500)]}), START + timedelta(days=30), (TICKS,))
    assert tape.price("BTC", START - MS) is None
    assert tape.price("BTC", START + 1499 * MS).price == 1.0
    assert tape.price("BTC", tape.now).price == 1501.0


def test_a_trade_that_had_not_arrived_neither_gives_nor_takes_a_price() -> None:
    now = START + timedelta(seconds=10)
    late = Tape(MemorySource({TICKS: [tick(0), tick(9000, timedelta(seconds=5))]}), now, (TICKS,), now)
    assert late.price("BTC", now).price == 1.0
    assert [one.price for one in late.last("BTC", "tick", "1s", 2)] == [1.0]
    assert replace(late, cut_off=now + timedelta(seconds=4)).price("BTC", now).price == 9001.0


def test_a_series_that_is_not_listed_is_named() -> None:
    tape = Tape(MemorySource({}), START, (CANDLES,))
    with pytest.raises(LookupError, match="BTC/candle/5m is not among this contest's series: test/BTC/candle/1m"):
        tape.last("BTC", "candle", "5m")
    with pytest.raises(LookupError, match="ETH has no series in this contest: test/BTC"):
        tape.price("ETH", START)


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, -math.inf, True, "30000", None, -1.0, 0, 10**400, [1.0]],
    ids=lambda one: f"{one!r:.9}",
)
@pytest.mark.parametrize("series", [CANDLES, TICKS], ids=["candle", "tick"])
def test_what_is_no_price_is_refused_naming_series_and_time(series: Series, value: Any) -> None:
    values = dict(tick(0).values if series == TICKS else candle(0).values)
    for name in set(values) - {"volume"}:
        with pytest.raises(ValueError, match=rf"^test/BTC/{series.kind}/\w+ at 2024-.*: {name}="):
            history_record(series, START, {**values, name: value})


@pytest.mark.parametrize("volume", [math.nan, -1.0, True, "1"])
def test_a_volume_is_a_finite_number_that_may_be_zero(volume: Any) -> None:
    assert history_record(CANDLES, START, {**candle(0).values, "volume": 0})
    with pytest.raises(ValueError, match="volume="):
        history_record(CANDLES, START, {**candle(0).values, "volume": volume})


@pytest.mark.parametrize("values", [{}, {"price": 1.0, "quantity": 2.0}, {"close": 1.0}])
def test_other_values_than_the_kinds_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"values \[.*\] are not \['price'\]"):
        history_record(TICKS, START, values)


@pytest.mark.parametrize("when", ["2024-01-01T00:00", "2024-01-01T00:00+01:00"])
def test_a_time_that_is_not_in_utc_is_refused(when: str) -> None:
    with pytest.raises(ValueError, match="the time is not in UTC"):
        history_record(TICKS, datetime.fromisoformat(when), {"price": 1.0})


def test_a_text_without_a_zone_is_no_moment() -> None:
    assert utc("2024-01-01T01:00+01:00") == START
    with pytest.raises(ValueError, match="no time zone; write it as UTC: 2024-01-01T00:00Z"):
        utc("2024-01-01T00:00")


@given(st.integers(0, 60_000).map(lambda ms: ms * MS))
def test_history_was_known_its_publish_lag_after_its_end(lag: timedelta) -> None:
    assert candle(0, lag).known_at == candle(0).event_end + lag == START + timedelta(minutes=1) + lag
    assert tick(0, lag).known_at == START + lag
