"""The market tape: `market_records`, restatements, and through when each series is complete."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import Connection, text

from coordinator_dagster.ranges import Range, merge_ranges, without
from coordinator_dagster.stages.facts import Added
from coordinator_dagster.store.database import Database, ServerAway
from coordinator_dagster.store.tape_span import CachedSource
from slots.market import MarketRecord, Series
from slots.tape import TapeAway

KEY = "provider = :provider and asset = :asset and kind = :kind and granularity = :granularity"
COLUMNS = (
    "provider",
    "asset",
    "kind",
    "granularity",
    "ts_event",
    "event_end",
    "known_at",
    "values_jsonb",
    "meta_jsonb",
)
RECORD = "ts_event, values_jsonb, known_at, event_end, meta_jsonb"  # as MarketRecord takes them
FROZEN_SECONDS = 5  # so long may who holds the tape say nothing
NEVER = datetime.min.replace(tzinfo=UTC)


def series_key(series: Series) -> dict[str, str]:
    return {
        "provider": series.provider,
        "asset": series.asset,
        "kind": series.kind,
        "granularity": series.granularity,
    }


def record_row(record: MarketRecord) -> tuple[Any, ...]:
    """A record as `COLUMNS` have it."""
    key = (record.series.provider, record.series.asset, record.series.kind, record.series.granularity)
    return (*key, record.ts_event, record.event_end, record.known_at, record.values, record.meta)


def _ranges(stored: dict[str, Any]) -> list[Range]:
    """The ranges asked and answered, out of `market_ingestion_state.meta_jsonb`."""
    return [(datetime.fromisoformat(start), datetime.fromisoformat(end)) for start, end in stored.get("covered", [])]


class TapeTable:
    """Records by series and time; a `TapeSource` straight from the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self,
        series: Series,
        records: Sequence[MarketRecord],
        covered: Range,
        origin: datetime,
        arrival: Callable[[], datetime] | None = None,
        note: Callable[[Connection], None] | None = None,
    ) -> Added:
        """Store the records of a range that was asked and answered: `covered[0] < event_end <= covered[1]`.

        The first record of a key stays; a different one goes to `market_restatements`. `complete_through`
        advances over the contiguous knowledge that begins at `origin`. `arrival`, live: what tells the time at
        which they are known here, asked when no cut-off can come before they are readable. `note` says what is missing
        of the range, before it counts as answered: nobody sees the one without the other.
        """
        added = Added(offered=len(records))
        if records:
            self._store(series, records, arrival, added)
        with self._database.transaction() as connection:
            if note:
                note(connection)
            self._cover(connection, series, covered, origin)
        return added

    def _store(
        self,
        series: Series,
        records: Sequence[MarketRecord],
        arrival: Callable[[], datetime] | None,
        added: Added,
    ) -> None:
        self._database.ensure_months("market_records", records[0].ts_event, records[-1].ts_event)
        with self._database.transaction() as connection:
            if arrival:
                self.hold(connection)
                now = arrival()
                records = [replace(one, known_at=max(one.known_at, now)) for one in records]
            through = self._complete_through(connection, series)
            arriving = self._database.copy_aside(connection, "market_records", COLUMNS, map(record_row, records))
            added.new, added.late, added.restated = self._merge(connection, arriving, through)

    def _merge(self, connection: Connection, arriving: str, through: datetime) -> tuple[int, int, int]:
        """How many of those arriving are new, how many of these were over by `through`, and how many are restated.

        Restated are those that say something else than the first of their key, which stays.
        """
        names = ", ".join(COLUMNS)
        new, late, offered, first, last = connection.execute(
            text(
                f"with kept as (insert into market_records ({names}) select {names} from {arriving} "
                " order by ctid on conflict do nothing returning event_end) "
                "select (select count(*) from kept), (select count(*) from kept where event_end <= :through), "
                f" count(*), min(ts_event), max(ts_event) from {arriving}"
            ),
            {"through": through},
        ).one()
        if new == offered:
            return new, late, 0
        # Bounds, so that partitions are left out. The series as constants would make the planner compare each with all.
        same = " and ".join(f"m.{name} = a.{name}" for name in COLUMNS[:5])
        restated = connection.execute(
            text(
                "insert into market_restatements (provider, asset, kind, granularity, ts_event, values_jsonb, "
                " first_values_jsonb) "
                "select a.provider, a.asset, a.kind, a.granularity, a.ts_event, a.values_jsonb, m.values_jsonb "
                f"from {arriving} a join market_records m on {same} and m.ts_event between :first and :last "
                "where m.values_jsonb <> a.values_jsonb order by a.ctid on conflict do nothing"
            ),
            {"first": first, "last": last},
        ).rowcount
        return new, late, restated

    def _cover(self, connection: Connection, series: Series, covered: Range, origin: datetime) -> None:
        connection.execute(
            text(
                "insert into market_ingestion_state (provider, asset, kind, granularity) "
                "values (:provider, :asset, :kind, :granularity) on conflict do nothing"
            ),
            series_key(series),
        )
        stored = connection.execute(
            text(f"select meta_jsonb from market_ingestion_state where {KEY} for update"), series_key(series)
        ).scalar_one()
        merged = merge_ranges([*_ranges(stored), covered])
        through = next((end for start, end in merged if start <= origin <= end), None)
        stored["covered"] = [[start.isoformat(), end.isoformat()] for start, end in merged]
        connection.execute(
            text(
                "update market_ingestion_state set updated_at = now(), meta_jsonb = cast(:meta as jsonb), "
                " complete_through = :through, last_event_ts = "
                f"coalesce((select max(ts_event) from market_records where {KEY}), last_event_ts) where {KEY}"
            ),
            {**series_key(series), "meta": orjson.dumps(stored).decode(), "through": through},
        )

    @contextmanager
    def held(self) -> Iterator[Connection]:
        """Nothing that stamps its arrival is written meanwhile: what is not readable by now is known later."""
        with self._database.transaction() as connection:
            self.hold(connection)
            yield connection

    def hold(self, connection: Connection) -> None:
        """The same for a transaction that writes: from here to its end no cut-off is taken.

        Who holds it and is frozen, or whose machine is gone, is thrown out: cycles wait for it.
        """
        self._database.lock(connection, "tape", idle_seconds=FROZEN_SECONDS)

    def complete_through(self, series: Iterable[Series]) -> datetime | None:
        """Through when all these series are complete; None when one is not begun."""
        return min(self._each_complete_through(series), default=None)

    def knowable_through(self, series: Iterable[Series]) -> datetime | None:
        """Nothing of these series at or before this moment is still to come; None when one has not begun."""
        series = list(series)
        found = zip(self._each_complete_through(series), series, strict=False)
        return min((one.knowable_through(through) for through, one in found), default=None)

    def _each_complete_through(self, series: Iterable[Series]) -> list[datetime]:
        """In the order given; empty when one is not begun."""
        moments = []
        with self._database.engine.connect() as connection:
            for one in series:
                if (through := self._complete_through(connection, one)) == NEVER:
                    return []
                moments.append(through)
        return moments

    def _complete_through(self, connection: Connection, series: Series) -> datetime:
        """NEVER where it is not begun."""
        sql = f"select complete_through from market_ingestion_state where {KEY}"
        rows = self._database.read(sql, connection, **series_key(series))
        return (rows[0].complete_through if rows else None) or NEVER

    def unanswered(self, series: Series, span: Range) -> list[Range]:
        """What of a span was never asked, or not answered."""
        rows = self._database.read(f"select meta_jsonb from market_ingestion_state where {KEY}", **series_key(series))
        return without(span, _ranges(rows[0].meta_jsonb) if rows else [])

    def series(self) -> list[Series]:
        """Every series that is ingested."""
        rows = self._database.read(
            "select provider, asset, kind, granularity from market_ingestion_state order by 1, 2"
        )
        return [Series(*row) for row in rows]

    def restated(self, record: MarketRecord) -> dict[str, float] | None:
        """What the venue said of the record last, when that is not what it said first."""
        rows = self._database.read(
            f"select values_jsonb from market_restatements where {KEY} and ts_event = :at order by id desc limit 1",
            **series_key(record.series),
            at=record.ts_event,
        )
        return rows[0].values_jsonb if rows else None

    def next_end(self, series: Series, after: datetime) -> datetime | None:
        """When the first record that is over after that moment was over."""
        return self._database.read(
            f"select min(event_end) as at from market_records where {KEY} and ts_event > :after",
            **series_key(series),
            after=after - series.step,
        )[0].at

    def upto(self, series: Series, end: datetime, count: int) -> Sequence[MarketRecord]:
        """The last `count` records over by `end`, oldest first."""
        return self._records(
            series, "ts_event <= :end order by ts_event desc limit :count", end=end - series.step, count=count
        )[::-1]

    def between(self, series: Series, start: datetime, end: datetime) -> Sequence[MarketRecord]:
        """The records with `start < event_end <= end`, oldest first."""
        return self._records(
            series,
            "ts_event > :start and ts_event <= :end order by ts_event",
            start=start - series.step,
            end=end - series.step,
        )

    def cached(self, series: Iterable[Series], start: datetime, end: datetime, look_back: int) -> CachedSource:
        """The span `(start, end]` and `look_back` records before it, in memory."""
        return CachedSource(self, series, start, end, look_back)

    def newest(self, connection: Connection, series: Series, count: int) -> tuple[int, list[MarketRecord]]:
        """The last `count` records, oldest first, and the highest id among them (0: there is none)."""
        highest, records = self._with_id(connection, series, "true order by ts_event desc limit :count", count=count)
        return highest, records[::-1]

    def come_since(
        self, connection: Connection, series: Series, last_id: int, oldest: datetime, count: int
    ) -> tuple[int, list[MarketRecord]]:
        """The last `count` records with a higher id whose `ts_event` is not before `oldest`, and the highest id now."""
        where = "ts_event >= :oldest and id > :last_id order by ts_event desc limit :count"
        highest, records = self._with_id(connection, series, where, oldest=oldest, last_id=last_id, count=count)
        return max(highest, last_id), records[::-1]

    def _with_id(
        self, connection: Connection, series: Series, where: str, **parameters: Any
    ) -> tuple[int, list[MarketRecord]]:
        sql = f"select {RECORD}, id from market_records where {KEY} and {where}"
        rows = self._database.read(sql, connection, **series_key(series), **parameters)
        return max((row.id for row in rows), default=0), [MarketRecord(series, *row[:-1]) for row in rows]

    def _records(self, series: Series, where: str, **parameters: Any) -> list[MarketRecord]:
        sql = f"select {RECORD} from market_records where {KEY} and {where}"
        try:
            rows = self._database.read(sql, **series_key(series), **parameters)
        except ServerAway as error:  # it may be a slot that asks: the fault is not its
            raise TapeAway(str(error)) from error
        return [MarketRecord(series, *row) for row in rows]
