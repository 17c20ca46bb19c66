"""What goes by COPY comes back as it was, and a record that comes again is told from one that says something else."""

from collections.abc import Callable
from datetime import UTC, timedelta, timezone
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from coordinator_dagster.competition import Competition
from coordinator_dagster.runtime import open_runtime
from coordinator_dagster.store.database import Database
from slots.market import MarketRecord, Series, history_record, utc

START = utc("2026-01-31T23:59:58Z")  # two seconds later it is another month, another partition
LOCAL = START.astimezone(timezone(timedelta(hours=5, seconds=17)))
COLUMNS = ("number", "said", "price", "at", "content", "encoded", "yes")
# PostgreSQL stores no NUL, and half a surrogate pair is no character; it knows offsets of less than 16 hours.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
OFFSETS = st.integers(-57_599, 57_599).map(lambda seconds: timezone(timedelta(seconds=seconds)))
MOMENTS = st.datetimes(timezones=st.just(UTC) | OFFSETS).filter(lambda at: 1 < at.year < 9999)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**63), 2**64 - 1)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=8,
)
CONTENT = st.dictionaries(TEXT, JSON, max_size=4) | st.lists(JSON, max_size=4)
ROW = st.tuples(st.none() | TEXT, st.none() | st.floats(), MOMENTS, CONTENT, CONTENT, st.booleans())
ODD = "\\N \\. \\t \t \n \r\n \\\\ \" ' \x7f \x1f \u2028 é 🎯"


def same(came: Any, sent: Any) -> bool:
    """Equal JSON; numbers of 1e16 and more lose the mark that they were floats, the float is the same."""
    if isinstance(sent, dict):
        return came.keys() == sent.keys() and all(same(came[name], sent[name]) for name in sent)
    if isinstance(sent, list):
        return len(came) == len(sent) and all(map(same, came, sent))
    return (float(came) if type(sent) is float else came) == sent


def test_what_is_copied_comes_back_exactly(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coordinator_dagster.store.database.COPY_CHUNK", 200)  # most lists take several
    database = Database(database_url, "public")

    @settings(max_examples=80, deadline=None)
    @given(st.lists(ROW, max_size=6))
    @example([(ODD, 5e-324, LOCAL, {ODD: [ODD, 0.1, 1e22, 1.7976931348623157e308]}, [ODD], True), (*[None] * 6,)])
    def check(rows: list[tuple[Any, ...]]) -> None:
        rows = [(n, *row) for n, row in enumerate(rows)]
        with database.transaction() as connection:
            connection.execute(
                text(
                    "create temporary table copied (number int, said text, price double precision, at timestamptz, "
                    "content jsonb, encoded jsonb, yes boolean) on commit drop"
                )
            )
            encoded = [(*row[:5], orjson.dumps(row[5]), row[6]) for row in rows]
            assert database.copy(connection, "copied", COLUMNS, encoded) == len(rows)
            found = database.read(f"select {', '.join(COLUMNS)} from copied order by number", connection)
        for sent, came in zip(rows, found, strict=True):
            assert repr(came.price) == repr(sent[2])
            assert (*came[:2], came.at, came.yes) == (*sent[:2], sent[3], sent[6])
            assert same(came.content, sent[4]) and same(came.encoded, sent[5])

    check()
    database.close()


def test_the_first_of_a_key_stays_and_each_other_value_is_a_restatement_once(
    competition: Callable[..., Competition],
) -> None:
    with open_runtime(competition()) as runtime:
        tape, database, numbers = runtime.store.tape, runtime.store.database, iter(range(1_000_000))

        @settings(max_examples=40, deadline=None)
        @given(st.lists(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 3)), min_size=1, max_size=8), max_size=5))
        @example([[(1, 1), (1, 2), (1, 1), (1, 2), (3, 1)], [(1, 3), (2, 1), (2, 2)]])
        def check(batches: list[list[tuple[int, int]]]) -> None:
            series = Series("test", f"R{next(numbers)}", "tick", "1s")
            first: dict[int, int] = {}
            others: list[tuple[int, int]] = []
            for batch in batches:
                batch = sorted(batch, key=lambda one: one[0])
                new = restated = 0
                for second, price in batch:
                    if second not in first:
                        first[second], new = price, new + 1
                    elif price != first[second] and (second, price) not in others:
                        others.append((second, price))
                        restated += 1
                records = [history_record(series, START + timedelta(seconds=s), {"price": p / 10}) for s, p in batch]
                added = tape.add(series, records, (START, START), START)
                assert (added.offered, added.new, added.restated) == (len(batch), new, restated)
            end = START + timedelta(seconds=9)
            assert [one.price for one in tape.upto(series, end, 9)] == [first[second] / 10 for second in sorted(first)]
            found = database.read(
                "select ts_event, values_jsonb, first_values_jsonb from market_restatements "
                "where asset = :asset order by id",
                asset=series.asset,
            )
            assert [tuple(row) for row in found] == [
                (START + timedelta(seconds=second), {"price": price / 10}, {"price": first[second] / 10})
                for second, price in others
            ]

        check()


def test_a_price_is_the_same_number_when_it_comes_back(competition: Callable[..., Competition]) -> None:
    with open_runtime(competition()) as runtime:
        tape, numbers = runtime.store.tape, iter(range(1_000_000))

        @settings(max_examples=25, deadline=None)
        @given(st.lists(st.floats(5e-324, 1e16, exclude_max=True), min_size=1, max_size=20))
        def check(prices: list[float]) -> None:
            series = Series("test", f"P\t{next(numbers)}\\", "tick", "1s")
            records = [
                history_record(series, START + n * timedelta(microseconds=1), {"price": price}, meta={"odd": ODD})
                for n, price in enumerate(prices)
            ]
            tape.add(series, records, (START, START), START)
            found = tape.upto(series, START + timedelta(hours=1), len(prices))
            assert found == records
            assert [repr(one.price) for one in found] == [repr(price) for price in prices]

        check()


def test_a_connection_makes_what_is_copied_aside_once_and_finds_it_empty(
    competition: Callable[..., Competition],
) -> None:
    with open_runtime(competition()) as runtime:
        database, series = runtime.store.database, Series("test", "ONE", "tick", "1s")

        def written(record: MarketRecord) -> int:
            """Write it; the table beside the tape, which is empty again."""
            runtime.store.tape.add(series, [record], (START, START), START)
            with database.transaction() as connection:
                assert database.read("select count(*) as n from new_market_records", connection)[0].n == 0
                return int(database.read("select 'new_market_records'::regclass::oid as oid", connection)[0].oid)

        first, other = (history_record(series, START, {"price": price}) for price in (1.0, 2.0))
        assert written(first) == written(other) == written(first)
        found = database.read("select values_jsonb as v, first_values_jsonb as f from market_restatements")
        assert [(row.v, row.f) for row in found] == [({"price": 2.0}, {"price": 1.0})]
