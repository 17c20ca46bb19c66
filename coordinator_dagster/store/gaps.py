"""`market_gaps`: the candles of answered ranges that are not on the tape, and stretches without a trade."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, text

from coordinator_dagster.store.database import Database
from coordinator_dagster.store.tape import KEY, Range, merge_ranges, series_key
from slots.market import Series
from slots.tape import boundary

AGREEING_ANSWERS = 3
AGREEING_OVER = timedelta(minutes=10)


class GapTable:
    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, series: Series, covered: Range, given_up: str | None) -> int:
        """Note what is missing of an answered range, close what has been filled; returns how many stand.

        A gap that goes on beyond the range is one row. `given_up` says why nothing more will come; None: the
        gaps are open.
        """
        step, key = series.step, series_key(series)
        first = boundary(covered[0] - step, step) + step
        last = boundary(covered[1] - step, step)
        with self._database.transaction() as connection:
            touched = connection.execute(
                text(
                    f"select id, gap_start, gap_end from market_gaps where {KEY} and state <> 'CLOSED' "
                    "and gap_end >= :first and gap_start <= :last for update"
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
            for start, end in gaps:
                connection.execute(
                    text(
                        "insert into market_gaps (provider, asset, kind, granularity, gap_start, gap_end, state, "
                        " reason) values (:provider, :asset, :kind, :granularity, :start, :end, :state, :reason) "
                        "on conflict (provider, asset, kind, granularity, gap_start) do update set "
                        " state = excluded.state, reason = excluded.reason, gap_end = excluded.gap_end, "
                        " updated_at = now() where market_gaps.gap_end <> excluded.gap_end "
                        " or (market_gaps.state <> excluded.state and market_gaps.state <> 'GIVEN_UP')"
                    ),
                    {
                        **key,
                        "start": start,
                        "end": end,
                        "state": "GIVEN_UP" if given_up else "open",
                        "reason": given_up or "the venue has not served these candles yet",
                    },
                )
        return len(gaps)

    def standing(self, series: Series, span: Range) -> list[Range]:
        """The gaps that may still be filled and reach into the span."""
        rows = self._database.read(
            f"select gap_start, gap_end from market_gaps where {KEY} and state in ('open', 'healing') "
            "and gap_end > :start and gap_start < :end order by gap_start",
            **series_key(series),
            start=span[0],
            end=span[1],
        )
        return [(row.gap_start, row.gap_end) for row in rows]

    def quiet(self, series: Series, span: Range, now: datetime) -> datetime | None:
        """Note that the feed answered a span of ticks with nothing; through when it is quiet for certain.

        One empty answer may be an outage: three that agree, over ten minutes, say that nothing was traded.
        """
        with self._database.transaction() as connection:
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

    def trades_came(self, series: Series, span: Range) -> None:
        """Close the silent stretches in the span that hold trades after all."""
        with self._database.transaction() as connection:
            connection.execute(
                text(
                    "update market_gaps g set state = 'CLOSED', reason = 'trades came', updated_at = now() "
                    f"where {KEY} and state in ('healing', 'QUIET', 'GIVEN_UP') "
                    "and gap_start < :end and gap_end > :start "
                    "and exists (select from market_records m where m.provider = g.provider and m.asset = g.asset "
                    " and m.kind = g.kind and m.granularity = g.granularity "
                    " and m.ts_event > g.gap_start and m.ts_event <= g.gap_end)"
                ),
                {**series_key(series), "start": span[0], "end": span[1]},
            )

    def give_up(self, before: datetime) -> None:
        """Gaps that ended by then and still stand are given up: every state ends."""
        with self._database.transaction() as connection:
            connection.execute(
                text(
                    "update market_gaps set state = 'GIVEN_UP', updated_at = now(), "
                    " reason = 'the venue did not serve it within a day' "
                    "where state in ('open', 'healing') and gap_end <= :before"
                ),
                {"before": before},
            )

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
