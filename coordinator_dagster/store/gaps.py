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
from coordinator_dagster.store.tape import KEY, series_key
from slots.market import Series
from slots.tape import EPOCH, boundary

AGREEING_OVER = timedelta(minutes=10)
FIRST_RETRY, LAST_RETRY = timedelta(seconds=10), timedelta(hours=1)  # the pause doubles from one to the other
STANDING = "state in ('open', 'healing')"
UNANSWERED = f"{STANDING} and cardinality(empty_answers) = 0"
INSERT = (
    "insert into market_gaps as g (provider, asset, kind, granularity, gap_start, gap_end, state, reason, next_try_at) "
    "values (:provider, :asset, :kind, :granularity, :start, :end, :state, :reason, :next_try) "
    "on conflict (provider, asset, kind, granularity, gap_start) do update set "
)
REOPEN = (
    "state = 'open', reason = excluded.reason, updated_at = now(), "
    "gap_end = case when g.state = 'CLOSED' then excluded.gap_end else greatest(g.gap_end, excluded.gap_end) end"
)
UNFETCHED = "the feed has not answered this range yet"
MICROSECOND = timedelta(microseconds=1)
# Where a venue numbers its trades, a tick says how many it stands for and the last one's number.
MISSING_TRADES = f"""
with near as (
    select ts_event, meta_jsonb from market_records where {KEY} and ts_event > :start and ts_event <= :end
    union all (select ts_event, meta_jsonb from market_records where {KEY} and ts_event <= :start
               order by ts_event desc limit 1)
    union all (select ts_event, meta_jsonb from market_records where {KEY} and ts_event > :end
               order by ts_event limit 1)
), numbered as (
    select ts_event, (meta_jsonb->>'trade_id')::bigint as last,
           (meta_jsonb->>'trade_id')::bigint - (meta_jsonb->>'trades')::int as before from near
), linked as (
    select *, lag(ts_event) over w as came_before, lag(last) over w as previous from numbered
    window w as (order by ts_event)
)
select came_before, ts_event, previous, before from linked where before > previous
"""


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
            self._database.lock(connection, "gaps")
            yield connection

    def record(self, series: Series, covered: Range, now: datetime, reason: str, given_up: bool = False) -> int:
        """Note which candles of a range are missing, close what has been filled; returns how many gaps stand.

        A gap that goes on beyond the range is one row. `given_up`: nothing more will come.
        """
        step, key = series.step, series_key(series)
        first = boundary(covered[0] - step, step) + step
        last = boundary(covered[1] - step, step)
        with self._alone() as connection:
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
                            "update market_gaps set state = 'CLOSED', reason = 'the missing candles came', "
                            "updated_at = now() where id = :id"
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
        return len(gaps)

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
        if series.step:
            self.record(series, span, now, reason)
            return
        with self._alone() as connection:
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
                    " reason = coalesce(:reason, reason), "
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

        One empty answer may be an outage: three that agree, over ten minutes, say that nothing was traded.
        """
        with self._alone() as connection:
            row = connection.execute(
                text(
                    "insert into market_gaps as g (provider, asset, kind, granularity, gap_start, gap_end, state, "
                    " reason, empty_answers) values (:provider, :asset, :kind, :granularity, :start, :end, 'healing', "
                    " 'the venue answered with no trades; it is asked again', array[cast(:now as timestamptz)]) "
                    "on conflict (provider, asset, kind, granularity, gap_start) do update set updated_at = now(), "
                    " gap_end = least(g.gap_end, excluded.gap_end), "
                    " empty_answers = g.empty_answers || excluded.empty_answers "
                    "returning gap_end, cardinality(empty_answers) >= :answers "
                    " and :now - empty_answers[1] >= :over as agreed"
                ),
                {
                    **series_key(series),
                    "start": span[0],
                    "end": span[1],
                    "now": now,
                    "answers": AGREEING_ANSWERS,
                    "over": AGREEING_OVER,
                },
            ).one()
            if row.agreed:
                connection.execute(
                    text(
                        f"update market_gaps set state = 'QUIET', reason = 'nothing was traded' where {KEY} "
                        "and gap_start = :start"
                    ),
                    {**series_key(series), "start": span[0]},
                )
        return row.gap_end if row.agreed else None

    def answered(self, series: Series, span: Range, now: datetime) -> None:
        """All that is known of a span is on the tape: of what was missing only trades with other ids are, still."""
        key = {**series_key(series), "start": span[0], "end": span[1]}
        with self._alone() as connection:
            touched = connection.execute(
                text(
                    f"select id, gap_end from market_gaps where {KEY} and {UNANSWERED} "
                    "and gap_start >= :start and gap_start < :end "
                ),
                key,
            ).all()
            connection.execute(
                text(
                    "update market_gaps g set state = 'CLOSED', reason = 'trades came', updated_at = now() "
                    f"where {KEY} and (id = any(:touched) or ("
                    " state in ('healing', 'QUIET', 'GIVEN_UP') and gap_start < :end and gap_end > :start "
                    " and exists (select from market_records m where m.provider = g.provider and m.asset = g.asset "
                    "  and m.kind = g.kind and m.granularity = g.granularity "
                    "  and m.ts_event > g.gap_start and m.ts_event <= g.gap_end)))"
                ),
                {**key, "touched": [row.id for row in touched]},
            )
            rest = [(span[1], row.gap_end) for row in touched if row.gap_end > span[1]]
            for gap in merge_ranges(rest):
                self._note(connection, series, gap, "open", UNFETCHED, now, REOPEN)
            for row in connection.execute(text(MISSING_TRADES), key):
                gap = (row.came_before, row.ts_event - MICROSECOND)
                reason = f"trades {row.previous + 1} to {row.before} are missing"
                self._note(connection, series, gap, "open", reason, now, REOPEN + " where g.state <> 'QUIET'")

    def give_up(self, before: datetime) -> list[Gap]:
        """Gaps that ended by then and still stand are given up: every state ends."""
        with self._alone() as connection:
            rows = connection.execute(
                text(
                    "update market_gaps set state = 'GIVEN_UP', updated_at = now(), "
                    " reason = 'the venue did not serve it within a day; last: ' || reason "
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
