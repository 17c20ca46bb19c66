"""How windows stand: what of them has ended, and what may still wait. One look costs what the windows asked hold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text

from coordinator_dagster.store.boards import HAS_ENDED, OF_CYCLE
from coordinator_dagster.store.database import Database

UNRESOLVED = "c.status = 'PERFORMED' and g.version is null"
STANDINGS = (
    f"with counted as (select c.window_start, count(*) filter (where {HAS_ENDED}) as ended, "
    f"  count(*) filter (where {UNRESOLVED} and c.resolvable_at > k.through) as waiting, "
    f"  count(*) filter (where {UNRESOLVED} and c.resolvable_at <= :overdue) as overdue "
    f" from cycles c left join ground_truths g on g.version = :truths and {OF_CYCLE.format('g')} "
    " left join unnest(cast(:configs as text[]), cast(:throughs as timestamptz[])) k(config, through) "
    "  on k.config = c.prediction_config_id "
    " where c.window_start = any(:starts) and c.status in ('PERFORMED', 'MISSED') group by 1) "
    "select w.start, coalesce(c.ended, 0), coalesce(c.waiting, 0), coalesce(c.overdue, 0), l.final, "
    " (select max(updated_at) from market_gaps where gap_end >= w.start and gap_start < w.start + :length) "
    "from unnest(cast(:starts as timestamptz[])) w(start) left join counted c on c.window_start = w.start "
    "left join leaderboards l on l.window_start = w.start and l.version = :version"
)


@dataclass(frozen=True, slots=True)
class Standing:
    """A window's cycles in a version, by the instants in it.

    `ended`: MISSED, or with truth and scores. `waiting`: performed, but the truth is not knowable yet. `overdue`:
    performed, and without a truth for so long that it is given up. `final` is its board's, None: it has none.
    `gaps_changed`: when a gap that reaches into it was changed last.
    """

    ended: int = 0
    waiting: int = 0
    overdue: int = 0
    final: bool | None = None
    gaps_changed: datetime | None = None


class SettlingTable:
    def __init__(self, database: Database) -> None:
        self._database = database

    def standings(
        self,
        starts: Sequence[datetime],
        length: timedelta,
        versions: tuple[str, str],
        through: Mapping[str, datetime],
        overdue: datetime,
    ) -> dict[datetime, Standing]:
        """By the windows' starts. `versions`: of truths and of scores; `through`: what is knowable, by config."""
        if not starts:
            return {}
        with self._database.transaction() as connection:
            connection.execute(text("set local jit = off"))  # compiling takes ten times as long as the query
            rows = connection.execute(
                text(STANDINGS),
                {
                    "starts": list(starts),
                    "since": min(starts),
                    "until": max(starts) + length,
                    "length": length,
                    "truths": versions[0],
                    "version": versions[1],
                    "configs": list(through),
                    "throughs": list(through.values()),
                    "overdue": overdue,
                },
            ).all()
        return {row.start: Standing(*row[1:]) for row in rows}

    def scored_through(self) -> datetime | None:
        """The end of the newest window with scores in the version shown."""
        return self._database.read(
            "select max(window_end) as at from score_rollups "
            "where version = (select version from slot_versions where current)"
        )[0].at

    def shown_version(self) -> str | None:
        """The version whose boards are shown; None: there are none yet."""
        rows = self._database.read("select version from slot_versions where current")
        return rows[0].version if rows else None
