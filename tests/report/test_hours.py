"""How complete an hour of a series is."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

from coordinator_dagster.report.pages.hours import Hour, hours_of, hours_until

H0 = datetime(2026, 1, 5, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
STARTS = [H0 + n * HOUR for n in range(4)]


def series(kind: str, granularity: str, *covered: tuple[datetime, datetime]) -> SimpleNamespace:
    ranges = [[start.isoformat(), end.isoformat()] for start, end in covered]
    return SimpleNamespace(series="s", kind=kind, granularity=granularity, covered=ranges)


def states(hours: list[Hour]) -> list[str]:
    return [hour.state for hour in hours]


def test_candles_are_counted_against_those_that_have_closed() -> None:
    one = series("candle", "1m", (H0 + 30 * MINUTE, H0 + 2 * HOUR + 10 * MINUTE))
    hours = hours_of(one, STARTS, {("s", STARTS[0]): 30, ("s", STARTS[1]): 59}, [])
    assert states(hours) == ["whole", "partly", "none", "outside"]
    assert [hour.said for hour in hours] == ["30 of 30 candles", "59 of 60 candles", "0 of 10 candles", "nothing due"]


def test_a_hole_between_two_answered_ranges_is_due() -> None:
    one = series("candle", "1m", (H0, H0 + HOUR), (H0 + 3 * HOUR, H0 + 4 * HOUR))
    counts = {("s", STARTS[0]): 60, ("s", STARTS[3]): 60}
    assert states(hours_of(one, STARTS, counts, [])) == ["whole", "none", "none", "whole"]


def test_of_ticks_what_was_answered_counts_less_what_is_missing() -> None:
    one = series("tick", "1s", (H0, H0 + HOUR), (H0 + 90 * MINUTE, H0 + 3 * HOUR))
    gap = (H0 + 2 * HOUR, H0 + 2 * HOUR + 15 * MINUTE)
    hours = hours_of(one, STARTS, {}, [gap])
    assert states(hours) == ["whole", "partly", "partly", "outside"]
    assert [hour.said for hour in hours[1:3]] == ["50.0% known", "75.0% known"]


def test_candles_longer_than_an_hour_are_known_as_ticks_are() -> None:
    assert states(hours_of(series("candle", "4h", (H0, H0 + 4 * HOUR)), STARTS, {}, [])) == ["whole"] * 4


def test_a_series_that_was_never_answered_has_nothing_due() -> None:
    for kind in ("tick", "candle"):
        assert states(hours_of(series(kind, "1m"), STARTS, {}, [])) == ["outside"] * 4


def test_the_last_hour_shown_holds_the_end() -> None:
    assert hours_until(H0 + HOUR)[-1] == H0
    assert hours_until(H0 + HOUR + MINUTE)[-1] == H0 + HOUR
    assert len(hours_until(H0)) == 48
