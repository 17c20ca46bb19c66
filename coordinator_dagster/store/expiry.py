"""What leaves the tape by age: months of `market_records`, and what has to be known of them before and after."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.engine import Row
from sqlalchemy.exc import DBAPIError
from tenacity import retry, retry_if_exception, stop_after_delay, wait_exponential_jitter

from coordinator_dagster.ranges import Range
from coordinator_dagster.stages.facts import MonthChanged, MonthStays
from coordinator_dagster.store.database import Database
from coordinator_dagster.store.gap_queries import AGED
from coordinator_dagster.store.locks import locked
from coordinator_dagster.store.tape import KEY, series_key
from slots.market import MICROSECOND, Series

PARTITION = re.compile(r"market_records_(\d{4})_(\d\d)")
LEFT = "left_market_records_"  # the name of a month that is no part of the tape any more
LOCK_TIMEOUT = "100ms"  # so long may everybody who wants the tape be held up by who waits for it to be free
TRY_SECONDS = 60
OPEN = (
    "(c.status in ('planned', 'running') or c.status = 'PERFORMED' and not exists (select from ground_truths g "
    "where g.performed_at = c.performed_at and g.prediction_config_id = c.prediction_config_id))"
)


@dataclass(frozen=True, order=True)
class Month:
    """A partition of the tape: the records with `start <= ts_event < end`."""

    start: datetime
    end: datetime

    @property
    def name(self) -> str:
        return f"{self.start:%Y-%m}"

    @property
    def table(self) -> str:
        return f"market_records_{self.start:%Y_%m}"


class ExpiryTable:
    def __init__(self, database: Database) -> None:
        self._database = database

    def through(self) -> datetime | None:
        """Every record with an earlier `ts_event` has left the tape; None: nothing has yet."""
        moment: datetime | None = self._database.read("select through from tape_expired")[0].through
        return moment

    def cycles_from(self) -> datetime | None:
        """Cycles performed earlier may lack records: their truths stay as they are. None: nothing has left yet."""
        moment: datetime | None = self._database.read("select cycles_from from tape_expired")[0].cycles_from
        return moment

    def kept(self, series: Series, span: Range) -> Range:
        """What of a span `(start, end]` may still be on the tape; nothing where it comes back without a length."""
        through = self.through()
        return (max(span[0], through + series.step - MICROSECOND), span[1]) if through else span

    def months(self) -> list[Month]:
        """The months that are on the tape, oldest first, those without a record too."""
        rows = self._database.read(
            "select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid "
            "where i.inhparent = cast('market_records' as regclass) order by 1"
        )
        found = [PARTITION.fullmatch(row.relname) for row in rows]
        return [_month(int(one[1]), int(one[2])) for one in found if one]

    def records(self, month: Month) -> Row[Any]:
        """`rows, first, last` of a month: how many records, and their first and last `ts_event`."""
        return self._database.read(
            f"select count(*) as rows, min(ts_event) as first, max(ts_event) as last from {month.table}"
        )[0]

    def first_open(self, since: datetime | None, connection: Connection | None = None) -> Row[Any] | None:
        """The first cycle that is not ended and has no truth in any version: `config, performed_at, status`."""
        rows = self._database.read(
            "select c.prediction_config_id as config, c.performed_at, c.status from cycles c "
            f"where {OPEN} and (cast(:since as timestamptz) is null or c.performed_at >= :since) "
            "order by c.performed_at, 1 limit 1",
            connection,
            since=since,
        )
        return rows[0] if rows else None

    def recorded(self, since: datetime) -> dict[datetime, int]:
        """How many cycles are recorded of each window that starts then or later, by the window's start."""
        rows = self._database.read(
            "select window_start, count(*) as n from cycles where window_start >= :since group by 1", since=since
        )
        return {row.window_start: row.n for row in rows}

    def recorded_in(self, window_start: datetime) -> set[tuple[str, datetime]]:
        """The (config, instant) of the window's cycles."""
        rows = self._database.read(
            "select prediction_config_id, performed_at from cycles where window_start = :start", start=window_start
        )
        return {(row.prediction_config_id, row.performed_at) for row in rows}

    def nth_end(self, series: Series, month: Month, count: int) -> datetime | None:
        """When the `count`th record after the month is over; None: there are fewer."""
        rows = self._database.read(
            f"select event_end from market_records where {KEY} and ts_event >= :end order by ts_event "
            "offset :before limit 1",
            **series_key(series),
            end=month.end,
            before=count - 1,
        )
        return rows[0].event_end if rows else None

    def leave(self, month: Month, cycles_from: datetime, still_needed: Callable[[], str | None]) -> int:
        """Take a month off the tape, all of which is archived; returns how many records it had.

        Nothing is waited for in the way of anybody: writers of this one month wait while it is counted, readers never;
        settling and orders wait while it is asked once more whether something needs it. Then the tape is held for the
        milliseconds that taking a table out of it lasts. If it is not free, the whole is tried again for a minute.
        Raises MonthStays when it is needed, or never free, and MonthChanged when records have come since.
        """
        try:
            return self._leave(month, cycles_from, still_needed)
        except DBAPIError as error:
            if not locked(error):
                raise
            raise MonthStays(f"the tape was in use for {TRY_SECONDS} s without a pause; it is tried again") from None

    @retry(
        retry=retry_if_exception(locked),
        stop=stop_after_delay(TRY_SECONDS),
        wait=wait_exponential_jitter(multiplier=0.1, max=5),
        reraise=True,
    )
    def _leave(self, month: Month, cycles_from: datetime, still_needed: Callable[[], str | None]) -> int:
        with self._database.transaction() as connection:
            connection.execute(text(f"lock table {month.table} in share mode"))
            counts = self._count(connection, month)
            self._database.lock(connection, "settle")  # no order reopens a cycle from here on
            if why := still_needed():
                raise MonthStays(why)
            connection.execute(text(f"set local lock_timeout = '{LOCK_TIMEOUT}'"))
            connection.execute(text(f"alter table market_records detach partition {month.table}"))
            connection.execute(text(f"alter table {month.table} rename to {LEFT}{month.start:%Y_%m}"))
            self._count_off(connection, counts)  # by now no writer holds a count: who has one has the tape, too
            self._note(connection, month, sum(counts.values()), cycles_from)
        return sum(counts.values())

    def _count(self, connection: Connection, month: Month) -> dict[Series, int]:
        """How many records of each series the month has; MonthChanged when the archive has another number.

        Records are only added. So no file has more than its day and series, and if the sums agree, each one does.
        """
        counted = connection.execute(
            text(f"select provider, asset, kind, granularity, count(*) from {month.table} group by 1, 2, 3, 4")
        )
        counts = {Series(*key): int(count) for *key, count in counted}
        archived, gone = connection.execute(
            text(
                "select (select coalesce(sum(row_count), 0) from tape_archives "
                " where day >= cast(:start as date) and day < cast(:end as date)), "
                "exists (select from tape_expiry where month_start = :start)"
            ),
            {"start": month.start, "end": month.end},
        ).one()
        rows = sum(counts.values())
        if rows != archived and not gone:  # what came back to a month that had gone is too old to count
            raise MonthChanged(f"{rows} records, of which {archived} are archived")
        return counts

    def _count_off(self, connection: Connection, counts: Mapping[Series, int]) -> None:
        for series, count in sorted(counts.items()):
            connection.execute(
                text(f"update market_record_counts set record_count = record_count - :gone where {KEY}"),
                {**series_key(series), "gone": count},
            )

    def _note(self, connection: Connection, month: Month, rows: int, cycles_from: datetime) -> None:
        connection.execute(
            text(
                "insert into tape_expiry (month_start, month_end, row_count, cycles_from) "
                "values (:start, :end, :rows, :cycles_from) on conflict (month_start) do nothing"
            ),
            {"start": month.start, "end": month.end, "rows": rows, "cycles_from": cycles_from},
        )
        connection.execute(
            text(
                f"update market_gaps set state = 'GIVEN_UP', updated_at = now(), reason = '{AGED}' "
                "where state in ('open', 'healing') and gap_end <= :end"
            ),
            {"end": month.end},
        )

    def free(self) -> None:
        """Remove the files of months that have left the tape. It takes the disk's time, and holds up nobody."""
        for row in self._database.read(
            "select relname from pg_class where relnamespace = cast(:schema as regnamespace) and relkind = 'r' "
            f"and relname ~ '^{LEFT}[0-9_]+$'",
            schema=self._database.schema,
        ):
            with self._database.transaction() as connection:
                connection.execute(text(f"drop table {row.relname}"))


def _month(year: int, month: int) -> Month:
    return Month(datetime(year, month, 1, tzinfo=UTC), datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC))
