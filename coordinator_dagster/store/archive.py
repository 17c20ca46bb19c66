"""`tape_archives`: which days of the tape are kept as files, and the records that go into one."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from typing import IO

from sqlalchemy import text

from coordinator_dagster.feeds.archive_files import DAY, TIMES, VALUES, Archived, DayFile, midnight
from coordinator_dagster.store.database import Database
from coordinator_dagster.store.tape import KEY, series_key
from slots.market import Series

# Every series on the tape, by one look at the index each, however many records there are.
EVERY_SERIES = """
with recursive found as (
    (select provider, asset, kind, granularity from market_records order by 1, 2, 3, 4 limit 1)
    union all
    select n.* from found f cross join lateral (
        select m.provider, m.asset, m.kind, m.granularity from market_records m
        where (m.provider, m.asset, m.kind, m.granularity) > (f.provider, f.asset, f.kind, f.granularity)
        order by 1, 2, 3, 4 limit 1) n
)
select * from found
"""
# The numbers as they stand in the JSON: whoever reads the digits gets the number that they were written from.
DAY_AS_CSV = (
    f"copy (select provider, granularity, {', '.join(TIMES)}, "
    + ", ".join(f"values_jsonb->>'{name}' as {name}" for name in VALUES)
    + ", meta_jsonb as meta from market_records where provider = %(provider)s and asset = %(asset)s "
    "and kind = %(kind)s and granularity = %(granularity)s and ts_event >= %(start)s and ts_event < %(end)s "
    "order by ts_event) to stdout (format csv, header)"
)


class ArchiveTable:
    def __init__(self, database: Database) -> None:
        self._database = database

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else archives this competition, or lets its tape expire, until it is over."""
        name = {"name": f"{self._database.schema}.archive"}
        # Not a transaction: it would keep the server from cleaning up for as long as the archiving takes.
        with self._database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("select pg_advisory_lock(hashtext(:name))"), name)
            try:
                yield
            finally:
                connection.execute(text("select pg_advisory_unlock(hashtext(:name))"), name)

    def counts(self, first: date, last: date) -> dict[DayFile, int]:
        """How many records each series has on the tape on each day from `first` to `last`; none: absent."""
        span, found = {"start": midnight(first), "end": midnight(last) + DAY}, dict[DayFile, int]()
        for series in self._series():
            counted = self._database.read(
                "select cast(date_bin('1 day', ts_event, 'epoch') as date) as day, count(*) as n from market_records "
                f"where {KEY} and ts_event >= :start and ts_event < :end group by 1",
                **series_key(series),
                **span,
            )
            found |= {DayFile(series, one.day): one.n for one in counted}
        return dict(sorted(found.items(), key=lambda one: (one[0].day, one[0].series)))

    def noted(self, first: date, last: date) -> dict[DayFile, Archived]:
        """What is said to be archived of these days."""
        rows = self._database.read(
            "select provider, asset, kind, granularity, day, row_count, bytes, sha256, complete, archived_at "
            "from tape_archives where day >= :first and day <= :last order by day, 1, 2, 3, 4",
            first=first,
            last=last,
        )
        files = [DayFile(Series(*row[:4]), row.day) for row in rows]
        return {file: Archived(file, *row[5:]) for file, row in zip(files, rows, strict=True)}

    def note(self, archived: Archived) -> None:
        """The file is on the disk for good, under its name."""
        with self._database.transaction() as connection:
            connection.execute(
                text(
                    "insert into tape_archives (provider, asset, kind, granularity, day, path, row_count, bytes, "
                    " sha256, complete) values (:provider, :asset, :kind, :granularity, :day, :path, :rows, :bytes, "
                    " :sha256, :complete) on conflict (day, provider, asset, kind, granularity) do update set "
                    " path = excluded.path, row_count = excluded.row_count, bytes = excluded.bytes, "
                    " sha256 = excluded.sha256, complete = excluded.complete, archived_at = now()"
                ),
                {
                    **series_key(archived.file.series),
                    "day": archived.file.day,
                    "path": str(archived.file.path),
                    "rows": archived.rows,
                    "bytes": archived.bytes,
                    "sha256": archived.sha256,
                    "complete": archived.complete,
                },
            )

    def unfinished(self, until: datetime) -> list[date]:
        """The days over by then, from the first record on the tape on, that are not archived as complete ones."""
        firsts = [
            self._database.read(f"select min(ts_event) as at from market_records where {KEY}", **series_key(one))[0].at
            for one in self._series()
        ]
        rows = self._database.read(
            "select cast(d.day as date) as day from generate_series(date_trunc('day', cast(:first as timestamptz)), "
            " cast(:until as timestamptz) - interval '1 day', '1 day') d(day) "
            "where not exists (select from tape_archives a where a.day = cast(d.day as date) "
            " having bool_and(a.complete)) order by 1",
            first=min(firsts, default=until),
            until=until,
        )
        return [row.day for row in rows]

    def copy_day(self, file: DayFile, into: IO[bytes]) -> None:
        """The day's records as CSV with the columns of the archive, oldest first."""
        with self._database.engine.connect() as connection:
            cursor = connection.connection.cursor()
            bound = {**series_key(file.series), "start": file.start, "end": file.end}
            cursor.copy_expert(cursor.mogrify(DAY_AS_CSV, bound).decode(), into)

    def _series(self) -> list[Series]:
        return [Series(*row) for row in self._database.read(EVERY_SERIES)]
