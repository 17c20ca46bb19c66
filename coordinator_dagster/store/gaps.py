"""`market_gaps`: the candles of answered ranges that are not on the tape, and what is not known of ticks.

A gap is open when it is seen, healing once it has been asked for again. It ends CLOSED by data, QUIET by the venue's
word that nothing was traded, or GIVEN_UP, with the reason.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, text

from coordinator_dagster.feeds.base import AGREEING_ANSWERS
from coordinator_dagster.ranges import Range, merge_ranges
from coordinator_dagster.store.database import Database
from coordinator_dagster.store.gap_queries import (
    AGREE,
    BEFORE_FIRST,
    CAME,
    FIRST_TRADE,
    GIVEN_UP,
    INSERT,
    IS_NUMBERED,
    MISSING_TRADES,
    NOTHING_TRADED,
    NUMBERED,
    REOPEN,
    STANDING,
    TRADES_CAME,
    UNANSWERED,
)
from coordinator_dagster.store.tape import KEY, series_key
from slots.market import MICROSECOND, Series
from slots.tape import EPOCH, boundary

AGREEING_OVER = timedelta(minutes=10)
FIRST_RETRY, LAST_RETRY = timedelta(seconds=10), timedelta(hours=1)  # the pause doubles from one to the other


@dataclass(frozen=True)
class Gap:
    """What of a series is missing: `(start, end]`, by when its records were over."""

    series: Series
    start: datetime
    end: datetime


class GapTable:
    def __init__(self, database: Database) -> None:
        self._database = database

    @contextmanager
    def _alone(self) -> Iterator[Connection]:
        """Who writes gaps does so in turn, and sees what was written: listening and healing change the same rows."""
        with self._database.transaction() as connection:
            self._take_turn(connection)
            yield connection

    def _take_turn(self, connection: Connection) -> None:
        self._database.lock(connection, "gaps")

    def record(
        self, connection: Connection, series: Series, covered: Range, now: datetime, reason: str, given_up: bool = False
    ) -> None:
        """Note which candles of a range are missing, and close what has been filled.

        A gap that goes on beyond the range is one row. `given_up`: nothing more will come.
        """
        self._take_turn(connection)
        step, key = series.step, series_key(series)
        first = boundary(covered[0] - step, step) + step
        last = boundary(covered[1] - step, step)
        touched = connection.execute(
            text(
                f"select id, gap_start, gap_end from market_gaps where {KEY} and state <> 'CLOSED' "
                "and gap_end >= :first and gap_start <= :last "
            ),
            {**key, "first": first, "last": last + step},
        ).all()
        first = min([first, *(row.gap_start for row in touched)])
        last = max([last, *(row.gap_end - step for row in touched)])
        gaps = self._missing(connection, series, first, last)
        for row in touched:
            if not any(start < row.gap_end and end > row.gap_start for start, end in gaps):
                connection.execute(
                    text(
                        f"update market_gaps set state = 'CLOSED', reason = '{CAME}', updated_at = now() where id = :id"
                    ),
                    {"id": row.id},
                )
            elif (row.gap_start, row.gap_end) not in gaps:
                connection.execute(text("delete from market_gaps where id = :id"), {"id": row.id})
        for gap in gaps:
            self._note(
                connection,
                series,
                gap,
                "GIVEN_UP" if given_up else "open",
                reason,
                now,
                "gap_end = excluded.gap_end, state = excluded.state, reason = excluded.reason, updated_at = now() "
                "where g.gap_end <> excluded.gap_end "
                " or (g.state <> excluded.state and (g.state = 'CLOSED' or excluded.state = 'GIVEN_UP'))",
            )

    def _note(
        self, connection: Connection, series: Series, span: Range, state: str, reason: str, now: datetime, update: str
    ) -> None:
        connection.execute(
            text(INSERT + update),
            {
                **series_key(series),
                "start": span[0],
                "end": span[1],
                "state": state,
                "reason": reason,
                "next_try": now + FIRST_RETRY,
            },
        )

    def failed(self, series: Series, span: Range, now: datetime, reason: str) -> None:
        """A range that was asked for and not answered."""
        with self._alone() as connection:
            if series.step:
                self.record(connection, series, span, now, reason)
                return
            self._note(
                connection,
                series,
                span,
                "open",
                reason,
                now,
                "gap_end = greatest(g.gap_end, excluded.gap_end), reason = excluded.reason, updated_at = now(), "
                "state = case when g.state = 'healing' then g.state else excluded.state end",
            )

    def count(self, series: Series, span: Range) -> int:
        """How many gaps of a span were not filled, given up ones too."""
        rows = self._database.read(
            "select count(*) as n from market_gaps "
            f"where {KEY} and state not in ('CLOSED', 'QUIET') and gap_end > :start and gap_start < :end",
            **series_key(series),
            start=span[0],
            end=span[1],
        )
        return int(rows[0].n)

    def standing(self, series: Series, span: Range, due: datetime | None = None) -> list[Range]:
        """The gaps that may still be filled and reach into the span; `due`: whose turn it is by then, only."""
        rows = self._database.read(
            f"select gap_start, gap_end from market_gaps where {KEY} and {STANDING} "
            "and gap_end > :start and gap_start < :end and (cast(:due as timestamptz) is null or next_try_at is null "
            " or next_try_at <= :due) order by gap_start",
            **series_key(series),
            start=span[0],
            end=span[1],
            due=due,
        )
        return [(row.gap_start, row.gap_end) for row in rows]

    def due(self, series: Sequence[Series], now: datetime, most: int) -> list[Gap]:
        """The gaps whose turn it is to be asked for again, the oldest first."""
        gaps = [Gap(one, *span) for one in series for span in self.standing(one, (EPOCH, now), due=now)]
        return sorted(gaps, key=lambda gap: gap.start)[:most]

    def tried(self, series: Series, span: Range, now: datetime, reason: str | None = None) -> None:
        """What stands of a span has been asked for again; the next time is after a pause twice as long."""
        with self._alone() as connection:
            connection.execute(
                text(
                    "update market_gaps set state = 'healing', attempts = attempts + 1, updated_at = now(), "
                    f" reason = case when {IS_NUMBERED} then reason else coalesce(:reason, reason) end, "
                    " next_try_at = cast(:now as timestamptz) + least(:first * power(2, least(attempts, 20)), :last) "
                    f"where {KEY} and {STANDING} and gap_end > :start and gap_start < :end"
                ),
                {
                    **series_key(series),
                    "start": span[0],
                    "end": span[1],
                    "now": now,
                    "reason": reason,
                    "first": FIRST_RETRY,
                    "last": LAST_RETRY,
                },
            )

    def quiet(self, series: Series, span: Range, now: datetime) -> datetime | None:
        """Note that the feed answered a span of ticks with nothing; through when it is quiet for certain.

        One empty answer may be an outage: three that agree, over ten minutes, say that nothing was traded. Not where
        the numbers of later trades say that there were some.
        """
        key = {**series_key(series), "start": span[0], "end": span[1], "now": now}
        with self._alone() as connection:
            stands = connection.execute(
                text(
                    f"select gap_end, reason, {IS_NUMBERED} as numbered from market_gaps "
                    f"where {KEY} and gap_start = :start and {STANDING}"
                ),
                key,
            ).first()
            if stands and stands.numbered:
                return None
            if stands and stands.gap_end > span[1]:  # of the rest nothing was said
                self._note(connection, series, (span[1], stands.gap_end), "open", stands.reason, now, REOPEN)
            row = connection.execute(text(AGREE), {**key, "answers": AGREEING_ANSWERS, "over": AGREEING_OVER}).one()
            if row.agreed:
                connection.execute(
                    text(
                        f"update market_gaps set state = 'QUIET', reason = '{NOTHING_TRADED}' where {KEY} "
                        "and gap_start = :start"
                    ),
                    key,
                )
        return row.gap_end if row.agreed else None

    def answered(self, connection: Connection, series: Series, span: Range, now: datetime, origin: datetime) -> None:
        """All that is known of a span of ticks is on the tape: what is missing of it shows by the trades' numbers.

        Which number came before the first trade nobody knows: from `origin`, the tape's start, to it is a gap as well.
        """
        self._take_turn(connection)
        key = {**series_key(series), "start": span[0], "end": span[1], "origin": origin}
        touched = connection.execute(
            text(
                f"select id, gap_end, reason, {IS_NUMBERED} as numbered from market_gaps where {KEY} and {UNANSWERED} "
                "and gap_start >= :start and gap_start < :end "
            ),
            key,
        ).all()
        partly = [row for row in touched if row.gap_end > span[1] and not row.numbered]  # numbers are counted anew
        connection.execute(
            text(
                f"update market_gaps g set state = 'CLOSED', reason = '{TRADES_CAME}', updated_at = now() "
                f"where {KEY} and (id = any(:touched) or ("
                " state in ('healing', 'QUIET', 'GIVEN_UP') and gap_start < :end and gap_end > :start "
                " and exists (select from market_records m where m.provider = g.provider and m.asset = g.asset "
                "  and m.kind = g.kind and m.granularity = g.granularity "
                "  and m.ts_event > g.gap_start and m.ts_event <= g.gap_end)))"
            ),
            {**key, "touched": [row.id for row in touched if row not in partly]},
        )
        for row in partly:  # the rest of it is still to come
            connection.execute(text("delete from market_gaps where id = :id"), {"id": row.id})
            self._note(connection, series, (span[1], row.gap_end), "open", row.reason, now, REOPEN)
        for row in connection.execute(text(MISSING_TRADES), key):
            gap = (row.came_before, row.ts_event - MICROSECOND)
            reason = NUMBERED.format(row.previous + 1, row.before)
            self._note(connection, series, gap, "open", reason, now, REOPEN)
        if span[0] <= origin and (first := connection.execute(text(FIRST_TRADE), key).scalar()):
            gap = (origin, first - MICROSECOND)
            if gap[0] < gap[1]:
                self._note(connection, series, gap, "open", BEFORE_FIRST, now, REOPEN + " where g.state <> 'QUIET'")

    def give_up(self, before: datetime) -> list[Gap]:
        """Gaps that ended by then and still stand are given up: every state ends."""
        with self._alone() as connection:
            rows = connection.execute(
                text(
                    "update market_gaps set state = 'GIVEN_UP', updated_at = now(), "
                    f" reason = '{GIVEN_UP}' || reason "
                    f"where {STANDING} and gap_end <= :before "
                    "returning provider, asset, kind, granularity, gap_start, gap_end"
                ),
                {"before": before},
            ).all()
        return [Gap(Series(*row[:4]), row.gap_start, row.gap_end) for row in rows]

    def _missing(self, connection: Connection, series: Series, first: datetime, last: datetime) -> list[Range]:
        step: timedelta = series.step
        found = connection.execute(
            text(f"select ts_event from market_records where {KEY} and ts_event >= :first and ts_event <= :last"),
            {**series_key(series), "first": first, "last": last},
        ).scalars()
        there = set(found)
        missing, moment = [], first
        while moment <= last:
            if moment not in there:
                missing.append((moment, moment + step))
            moment += step
        return merge_ranges(missing)
