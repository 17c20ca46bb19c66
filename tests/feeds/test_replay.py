"""A folder of CSV files as a feed."""

import asyncio
import gzip
import os
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from coordinator_dagster.clock import FixedClock
from coordinator_dagster.errors import UserError, UserErrors
from coordinator_dagster.feeds.replay import ReplayFeed
from slots.market import Series, utc

CANDLES = """ts_event,open,high,low,close,volume
2023-03-01T00:00:00Z,100,102,99,101,5
2023-03-01T00:01:00Z,101,103,100,102.5,0
2023-03-01T00:02:00Z,102.5,103,100,102,7
"""
TICKS = """ts_event,price,quantity
2023-03-01T00:00:00.100Z,100.5,0.1
2023-03-01T00:00:00.100Z,100.6,0.2
2023-03-01T00:00:00.100Z,100.4,0.3
2023-03-01T00:01:30.250Z,101.0,0.5
"""
START, END = utc("2000-01-01T00:00Z"), utc("2100-01-01T00:00Z")
BTC = Series("binance", "BTC", "candle", "1m")


def folder(tmp_path: Path, **files: str) -> Path:
    for name, text in files.items():
        (tmp_path / f"{name}.csv").write_text(text)
    return tmp_path


def feed(directory: Path, provider: str | None = None, now: str = "2023-03-01T00:00:30Z") -> ReplayFeed:
    return ReplayFeed(directory, provider, FixedClock(utc(now)))


def test_fetch_is_half_open_and_known_through_is_the_last_event_end(tmp_path: Path) -> None:
    tape = feed(folder(tmp_path, binance_BTC_candle_1m=CANDLES))
    found = list(tape.fetch(BTC, utc("2023-03-01T00:01Z"), utc("2023-03-01T00:02Z")))
    assert [record.values for record in found] == [
        {"open": 101.0, "high": 103.0, "low": 100.0, "close": 102.5, "volume": 0.0}
    ]
    assert found[0].event_end == found[0].known_at == utc("2023-03-01T00:02Z")
    assert len(list(tape.fetch(BTC, utc("2023-03-01T00:00:00.000001Z"), END))) == 2
    assert tape.known_through(BTC) == utc("2023-03-01T00:03Z")
    (offer,) = tape.list_assets()
    assert (offer.series, offer.first, offer.last) == (
        BTC,
        utc("2023-03-01T00:00Z"),
        utc("2023-03-01T00:03Z"),
    )


def test_trades_of_one_timestamp_are_one_tick_and_the_last_wins(tmp_path: Path) -> None:
    tape = feed(folder(tmp_path, binance_BTC_tick=TICKS))
    ticks = tape.series("BTC", "tick", "1s")
    found = list(tape.fetch(ticks, START, END))
    assert [(record.price, record.meta) for record in found] == [
        (100.4, {"quantity": 0.6, "trades": 3}),
        (101.0, {"quantity": 0.5, "trades": 1}),
    ]
    assert tape.known_through(ticks) == found[-1].ts_event == utc("2023-03-01T00:01:30.250Z")


def test_gzip_equals_plain_and_a_repeated_candle_is_dropped(tmp_path: Path) -> None:
    rows = CANDLES.splitlines(keepends=True)
    plain = folder(tmp_path, binance_BTC_candle_1m=CANDLES)
    packed = tmp_path / "packed"
    packed.mkdir()
    with gzip.open(packed / "binance_BTC_candle_1m.csv.gz", "wt") as file:
        file.writelines([*rows[:3], rows[2], *rows[3:]])
    one, two = (list(feed(where).fetch(BTC, START, END)) for where in (plain, packed))
    assert one == two
    assert len(one) == 3


def test_first_provider_by_name_wins_unless_one_is_chosen(tmp_path: Path) -> None:
    where = folder(tmp_path, kraken_BTC_candle_1m=CANDLES, binance_BTC_candle_1m=CANDLES, kraken_ETH_tick=TICKS)
    assert feed(where).series("BTC", "candle", "1m") == BTC
    assert [str(offer.series) for offer in feed(where).list_assets()] == [
        "binance/BTC/candle/1m",
        "kraken/ETH/tick/1s",
    ]
    assert feed(where, "kraken").series("BTC", "candle", "1m").provider == "kraken"
    with pytest.raises(UserError, match=r"FEED_TAPE_PROVIDER=pyth.*holds binance, kraken"):
        feed(where, "pyth")
    with pytest.raises(UserError, match=r"SOL/candle/1m is not on the tape.*binance/BTC/candle/1m"):
        feed(where).series("SOL", "candle", "1m")


def replaced(row: int, text: str) -> str:
    rows = CANDLES.splitlines()
    return "\n".join([*rows[:row], text, *rows[row + 1 :]]) + "\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            replaced(3, "2023-02-28T00:02:00Z,1,1,1,1,1"),
            r"row 3, column ts_event: '2023-02-28.*sort the file",
        ),
        (replaced(3, "2023-03-01T00:01:00Z,1,1,1,1,1"), r"row 3, column ts_event: .*repeats the row before"),
        (replaced(2, "2023-03-01T00:01:07Z,1,1,1,1,1"), r"row 2, column ts_event: .*opening of a 1m candle"),
        (replaced(2, "2023-03-01T00:01:00,1,1,1,1,1"), r"row 2, column ts_event: .*not a time in UTC"),
        (replaced(2, "1677628860,1,1,1,1,1"), r"row 2, column ts_event: '1677628860' is not a time in UTC"),
        (replaced(2, "2023-03-01T00:01:00Z,1,1,1,nan,1"), r"row 2, column close: 'nan' is not a positive"),
        (replaced(2, "2023-03-01T00:01:00Z,1,inf,1,1,1"), r"row 2, column high: 'inf'"),
        (replaced(2, "2023-03-01T00:01:00Z,1,1,0,1,1"), r"row 2, column low: '0"),
        (replaced(2, "2023-03-01T00:01:00Z,1,1,1,1,-1"), r"row 2, column volume: '-1"),
        (replaced(2, "2023-03-01T00:01:00Z,abc,1,1,1,1"), r"row 2, column open: 'abc'.*correct or remove"),
        (replaced(2, "2023-03-01T00:01:00Z,1,1,1"), r"row 2, column close: ('nan'|''|nan) is not"),
        (replaced(2, "2023-03-01T00:01:00Z,1,1,1,1,1,1"), r"cannot be read as CSV.*line 3"),
        (
            CANDLES.replace("close,", "last,"),
            r"missing \['close'\], unknown \['last'\]; the header of a candle",
        ),
        ("", r"cannot be read as CSV"),
        (CANDLES.splitlines()[0] + "\n", r"has no rows"),
    ],
)
def test_a_bad_file_is_named_with_row_column_and_value(tmp_path: Path, text: str, message: str) -> None:
    tape = feed(folder(tmp_path, binance_BTC_candle_1m=text))
    with pytest.raises(UserError, match=r"binance_BTC_candle_1m\.csv: .*" + message):
        list(tape.fetch(BTC, START, END))


def test_all_broken_files_are_one_error(tmp_path: Path) -> None:
    where = folder(tmp_path, binance_BTC_candle_1m=replaced(3, "x,1,1,1,1,1"), prices="a,b\n", binance_ETH_tick=TICKS)
    (where / "binance_SOL_tick.csv.gz").write_bytes(gzip.compress(TICKS.encode())[:-20])
    (where / "binance_ETH_tick.csv.gz").write_bytes(gzip.compress(TICKS.encode()))
    (where / "README.md").write_text("not a tape")
    with pytest.raises(UserErrors) as error:
        feed(where).list_assets()
    assert len(error.value.faults) == 4
    for part in (
        "prices.csv: is not named",
        "row 3, column ts_event: 'x'",
        "SOL_tick.csv.gz: cannot",
        "the same",
    ):
        assert part in str(error.value)


def test_missing_and_empty_folders_are_errors(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a folder"):
        feed(tmp_path / "absent")
    with pytest.raises(UserError, match="FEED_TAPE_DIR: no "):
        feed(tmp_path)


def test_listen_pushes_each_record_when_the_clock_passes_its_end(tmp_path: Path) -> None:
    where = folder(tmp_path, binance_BTC_candle_1m=CANDLES, binance_BTC_tick=TICKS)
    clock = FixedClock(utc("2023-03-01T00:01:00Z"))
    tape = ReplayFeed(where, None, clock)

    async def pushed() -> list[tuple[str, str]]:
        return [
            (record.series.kind, f"{clock.now():%M:%S}")
            async for heard in tape.listen({offer.series: clock.now() for offer in tape.list_assets()})
            for record in heard.records
        ]

    # the candle that ended at 00:01:00 is the past already
    assert asyncio.run(pushed()) == [("tick", "01:30"), ("candle", "02:00"), ("candle", "03:00")]


@pytest.mark.skipif("COORDINATOR_TEST_TAPE" not in os.environ, reason="COORDINATOR_TEST_TAPE names no folder")
def test_the_real_tape_is_read_whole() -> None:
    tape = feed(Path(os.environ["COORDINATOR_TEST_TAPE"]))
    assert {str(offer.series) for offer in tape.list_assets()} >= {
        "binance/BTC/candle/1m",
        "binance/BTC/tick/1s",
    }
    candles = list(tape.fetch(BTC, START, END))
    assert len(candles) == 66_087
    apart = [two.ts_event - one.ts_event for one, two in pairwise(candles)]
    assert sorted(set(apart)) == [timedelta(minutes=1), timedelta(minutes=81)]  # the outage of 2023-03-24
    ticks = list(tape.fetch(tape.series("BTC", "tick", "1s"), START, END))
    assert (len(ticks), sum(record.meta["trades"] for record in ticks)) == (10_215 - 8_946, 10_215)
