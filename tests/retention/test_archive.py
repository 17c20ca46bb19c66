"""The archive: read as it is by others, read back bit for bit by the feed, and renewed when it is not the tape."""

import hashlib
import shutil
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from coordinator_dagster.clock import FixedClock
from coordinator_dagster.competition import Competition
from coordinator_dagster.errors import UserError, UserErrors
from coordinator_dagster.feeds.archive_feed import ArchiveFeed
from coordinator_dagster.feeds.archive_files import SCHEMA
from coordinator_dagster.runtime import Runtime, open_runtime
from coordinator_dagster.stages.archive import archive_folder
from coordinator_dagster.stages.facts import StageFailed
from slots.market import MarketRecord, Series, history_record
from tests.retention.conftest import START, Make

DAYS = [date(2026, 1, 27) + timedelta(days=number) for number in range(10)]
ALWAYS = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
CANDLES, TICKS = Series("binance", "BTC", "candle", "1h"), Series("binance", "BTC", "tick", "1s")


def on_the_tape(runtime: Runtime, series: Series) -> list[MarketRecord]:
    return list(runtime.store.tape.between(series, *ALWAYS))


def opened(folder: Path, provider: str | None = None) -> ArchiveFeed:
    return ArchiveFeed(folder, provider, FixedClock(ALWAYS[1]))


def file_of(folder: Path, day: str = "2026-01-29", series: Series = CANDLES) -> Path:
    return folder / f"day={day}" / "asset=BTC" / f"kind={series.kind}" / f"binance-{series.granularity}.parquet"


@pytest.fixture
def archived(slow: Make) -> Callable[[], tuple[Competition, Path]]:
    """Replays the contest, and archives its days."""

    def make() -> tuple[Competition, Path]:
        made = slow()
        with open_runtime(made) as runtime:
            runtime.ingest(made.windows.between(made.start, made.closing))
            runtime.archive(DAYS)
        return made, archive_folder(made)

    return make


def test_pandas_polars_and_duckdb_read_the_archive_as_it_is(archived: Callable[[], tuple[Competition, Path]]) -> None:
    made, folder = archived()
    with open_runtime(made) as runtime:
        stored = {
            (str(row.day), row.kind): (row.n, row.total)
            for row in runtime.store.database.read(
                "select ts_event::date as day, kind, count(*) as n, sum((values_jsonb->>case kind when 'tick' then "
                " 'price' else 'close' end)::float8) as total from market_records group by 1, 2"
            )
        }
    frames = [
        pd.read_parquet(folder),
        pl.read_parquet(folder, hive_partitioning=True).to_pandas(),
        pl.scan_parquet(folder / "**/*.parquet", hive_partitioning=True).collect().to_pandas(),
        duckdb.sql(f"select * from read_parquet('{folder}/**/*.parquet', hive_partitioning = true)").df(),
        ds.dataset(folder, partitioning="hive").to_table().to_pandas(),
    ]
    for frame in frames:
        assert set(frame.columns) == {*SCHEMA.names, "day", "asset", "kind"}
        assert set(frame["asset"]) == {"BTC"}
        assert str(frame["ts_event"].min()) == "2026-01-27 21:00:00+00:00"
        days = pd.to_datetime(frame["day"].astype(str)).dt.date.astype(str)
        worth = frame["price"].fillna(frame["close"])
        read = worth.groupby([days, frame["kind"].astype(str)]).agg(["count", "sum"])
        assert {key: (row["count"], pytest.approx(row["sum"])) for key, row in read.iterrows()} == stored


def test_the_feed_gives_back_the_records_bit_for_bit(slow: Make) -> None:
    made, odd = slow(), Series("a-b.c", "BTC/USD %2F é", "tick", "1s")
    with open_runtime(made) as runtime:
        runtime.ingest(made.windows.between(made.start, made.closing))
        late = [
            MarketRecord(
                odd,
                moment := START + timedelta(hours=11 * number, microseconds=number),
                {"price": 0.1 + number / 3},
                moment + timedelta(seconds=1, microseconds=number),
                moment,
                {"trades": number, "quantity": 0.1 * number, 'an "odd"\n, one': [None, "€", 1e300, -0.0]},
            )
            for number in range(30)
        ]
        runtime.store.tape.add(odd, late, (START, START + timedelta(days=20)), START)
        runtime.archive([START.date() + timedelta(days=number) for number in range(-1, 20)])
        feed = opened(archive_folder(made))
        for series in (CANDLES, TICKS, odd):
            stored = on_the_tape(runtime, series)
            assert len(stored) >= 30
            # repr: the same digits, 1.0 is not 1, and -0.0 is not 0.0
            assert sorted(map(repr, feed.fetch(series, *ALWAYS))) == sorted(map(repr, map(in_utc, stored)))
        assert any(one.known_at > one.event_end for one in stored)
        assert feed.series("BTC/USD %2F é", "tick", "1s") == odd
        some = list(feed.fetch(CANDLES, START, START + timedelta(hours=30)))
        assert some == [one for one in on_the_tape(runtime, CANDLES) if START <= one.ts_event < some[-1].event_end]
        assert len(some) == 30
        offers = {one.series: (one.first, one.last) for one in feed.list_assets()}
        assert offers[CANDLES] == (START - timedelta(hours=3), datetime(2026, 2, 6, tzinfo=UTC))
        assert feed.known_through(CANDLES) == offers[CANDLES][1]


def in_utc(record: MarketRecord) -> MarketRecord:
    """With the keys of its values in the order that the feeds have."""
    names = ("price",) if record.series.kind == "tick" else ("open", "high", "low", "close", "volume")
    values = {name: record.values[name] for name in names}
    return MarketRecord(record.series, record.ts_event, values, record.known_at, record.event_end, record.meta)


def test_a_day_is_written_anew_when_it_is_not_the_tape_any_more(
    archived: Callable[[], tuple[Competition, Path]],
) -> None:
    made, folder = archived()
    whole, gone, late = file_of(folder), file_of(folder, "2026-01-30"), file_of(folder, "2026-01-31", TICKS)
    before = {path: path.read_bytes() for path in (whole, gone)}
    trade = history_record(TICKS, datetime(2026, 1, 31, 5, tzinfo=UTC), {"price": 1.5})
    with open_runtime(made) as runtime:
        assert runtime.archive(DAYS).written == 0, "nothing has changed"
        damaged = bytearray(before[whole])
        damaged[len(damaged) // 3] ^= 1
        whole.write_bytes(damaged)
        gone.unlink()
        runtime.store.tape.add(TICKS, [trade], (trade.event_end, trade.event_end), made.tape_start)
        report = runtime.archive(DAYS)
        assert (report.written, report.days) == (3, [date(2026, 1, day) for day in (29, 30, 31)])
        assert before == {path: path.read_bytes() for path in before}
        assert trade in opened(folder).fetch(TICKS, *ALWAYS)
        noted = runtime.store.archive.noted(DAYS[0], DAYS[-1])
        for file, one in noted.items():
            path = folder / file.path
            assert (one.bytes, one.sha256) == (path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())
            assert one.rows == pq.read_metadata(path).num_rows
        assert late in {folder / file.path for file in noted}
        assert [file.day for file, one in noted.items() if not one.complete] == []


def test_an_archive_that_knows_more_than_the_tape_is_not_overwritten(
    archived: Callable[[], tuple[Competition, Path]],
) -> None:
    """The database was made anew, or rows were deleted by hand: the files are all there is."""
    made, folder = archived()
    before = file_of(folder).read_bytes()
    with open_runtime(made) as runtime:
        with runtime.store.database.transaction() as connection:
            connection.exec_driver_sql("delete from market_records where ts_event = '2026-01-29 05:00Z'")
        for noted in (True, False):
            if not noted:
                with runtime.store.database.transaction() as connection:
                    connection.exec_driver_sql("delete from tape_archives")
            with pytest.raises(StageFailed, match=r"binance-1h\.parquet: it has 24 records, and the tape only 23"):
                runtime.archive([date(2026, 1, 29)])
            assert file_of(folder).read_bytes() == before


def spoilt(folder: Path, how: str) -> Path:
    path = file_of(folder)
    table = pq.read_table(path, partitioning=None)
    shifted = pa.array(
        [one + timedelta(days=1) for one in table["ts_event"].to_pylist()], SCHEMA.field("ts_event").type
    )
    place = table.schema.get_field_index
    changed = {
        "of another column": lambda: table.rename_columns([*table.column_names[:-1], "notes"]),
        "of another day": lambda: table.set_column(place("ts_event"), "ts_event", shifted),
        "twice": lambda: pa.concat_tables([table, table]),
        "without a price": lambda: table.set_column(place("close"), "close", pa.nulls(len(table), pa.float64())),
        "no number": lambda: table.set_column(place("high"), "high", pa.array([float("nan")] * len(table))),
        "of another provider": lambda: table.set_column(place("provider"), "provider", pa.array(["x"] * len(table))),
        "no object": lambda: table.set_column(place("meta"), "meta", pa.array(["[]"] * len(table))),
        "empty": lambda: table.slice(0, 0),
    }
    if how == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    elif how == "flipped":
        content = bytearray(path.read_bytes())
        content[content.index(b"\x28\xb5\x2f\xfd") + 20] ^= 1  # in the first compressed page
        path.write_bytes(content)
    else:
        pq.write_table(changed[how](), path)
    return path


WRONG = {
    "cut": "cannot be read as Parquet",
    "flipped": "it is damaged",
    "of another column": "its columns are .* notes string, not the archive's",
    "of another day": "not of its day",
    "twice": "is not after the one before it",
    "without a price": "whose close is not a positive finite number",
    "no number": "whose high is not a positive finite number",
    "of another provider": "of another provider than its path says",
    "no object": "meta is .*not a JSON object",
    "empty": "it holds no records",
}


def test_a_file_that_is_not_right_is_named_with_a_remedy(
    archived: Callable[[], tuple[Competition, Path]], tmp_path: Path
) -> None:
    _, whole = archived()
    for how, wrong in WRONG.items():
        folder = tmp_path / how
        shutil.copytree(whole, folder)
        path, feed = spoilt(folder, how), opened(folder)
        with pytest.raises(UserError, match=rf"{path}: .*{wrong}.*; restore it from a copy, or remove it"):
            print(how, feed.list_assets(), len(list(feed.fetch(CANDLES, *ALWAYS))))


def test_all_that_is_wrong_is_one_error(archived: Callable[[], tuple[Competition, Path]]) -> None:
    _, folder = archived()
    flipped = spoilt(folder, "flipped")
    cut = file_of(folder, "2026-01-30", TICKS)
    cut.write_bytes(b"PAR1")
    stray = folder / "prices.parquet"
    shutil.copy(file_of(folder, "2026-01-31"), stray)
    with pytest.raises(UserErrors) as listed:
        opened(folder).list_assets()
    assert [str(path) in str(listed.value) for path in (cut, stray)] == [True, True]
    with pytest.raises(UserErrors) as fetched:
        list(opened(folder).fetch(CANDLES, *ALWAYS))
    assert [str(path) in str(fetched.value) for path in (flipped, cut, stray)] == [True, True, True]
    assert len(fetched.value.faults) == 3


def test_a_folder_of_archives_and_a_provider_that_is_not_there_are_refused(
    archived: Callable[[], tuple[Competition, Path]], slow: Make
) -> None:
    _, folder = archived()
    with pytest.raises(UserError, match=r"FEED_TAPE_PROVIDER=kraken: .* holds binance"):
        opened(folder, "kraken")
    with (
        pytest.raises(UserError, match=rf"it has the archives {folder.name}: point it at one"),
        open_runtime(slow("b", feed_tape_dir=folder.parent)) as runtime,
    ):
        runtime.feed.list_assets()
