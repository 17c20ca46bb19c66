"""Reads how a competition stands. It starts, makes and migrates nothing; what is away is in the readings."""

import math
import shutil
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from coordinator_dagster.clock import Clock, open_clock
from coordinator_dagster.competition import Competition
from coordinator_dagster.errors import UserError, first_line
from coordinator_dagster.health.dagster_tables import DagsterTables
from coordinator_dagster.health.readings import (
    Board,
    Contest,
    Cycles,
    Due,
    Model,
    Readings,
    Tape,
    Unsettled,
    Worker,
)
from coordinator_dagster.live.instant import TOLERANCE
from coordinator_dagster.live.leasing import CLAIM, WORK
from coordinator_dagster.packs import PredictionConfig
from coordinator_dagster.schedule import Schedule
from coordinator_dagster.store.database import Database, DatabaseAway
from coordinator_dagster.store.embedded import embedded_runs
from coordinator_dagster.store.health import HealthTable
from coordinator_dagster.store.migrating import newest_revision
from coordinator_dagster.store.report.board_history import BoardHistory
from coordinator_dagster.store.store import Store, database_url
from slots.market import Series

PATIENCE_SECONDS = 10  # with the database
WHILE = timedelta(hours=1)  # of which counts and latencies are
LATELY = timedelta(minutes=10)
INSTANT = timedelta(microseconds=1)
# Truths come with the checkpoint after their data; two more of them and two minutes are for a machine that is busy.
CHECKPOINTS, SPARE_SECONDS = 3, 120.0


class Look:
    """Looks again and again, over connections that are kept."""

    def __init__(self, competition: Competition) -> None:
        self.competition = competition
        self._store: Store | None = None
        self._clock: Clock | None = None
        self._dagster: DagsterTables | None = None

    def take(self, dagster: DagsterTables | None = None) -> Readings:
        """How things stand now; some tens of milliseconds. `dagster`: its tables, where the caller has them open."""
        free = shutil.disk_usage(self.competition.home).free
        now = datetime.now(UTC)
        try:
            if self._store is None and not self._server_is_there():
                why = "the embedded PostgreSQL of this folder does not run"
                return Readings(now, away=why, disk_free=free)
            self._store = self._store or self._open()
            self._clock = self._clock or open_clock(self.competition.settings.clock_url)
            now, version = self._clock.now(), self._store.database.server_version()
            revision = self._store.database.revision()
            other = revision not in (None, newest_revision())
            contest = read_contest(self.competition, self._store, now) if revision and not other else None
            tables = dagster or self._find_dagster(self._store.database)
            said = tables.read(self.competition) if tables else None
        except (UserError, *DatabaseAway) as error:
            return Readings(now, away=first_line(error), disk_free=free)
        return Readings(now, version, "", other, contest, said, free)

    def _find_dagster(self, database: Database) -> DagsterTables | None:
        self._dagster = self._dagster or DagsterTables.find(database, self.competition)
        return self._dagster

    def _server_is_there(self) -> bool:
        return self.competition.settings.database_url is not None or embedded_runs(self.competition.home)

    def _open(self) -> Store:
        return Store(Database(database_url(self.competition), self.competition.schema, PATIENCE_SECONDS))

    def close(self) -> None:
        if self._store:
            self._store.close()


def read_contest(competition: Competition, store: Store, now: datetime) -> Contest:
    """What the tables say. A replay has no present: the last hour is that of its last cycle."""
    table, schedule = HealthTable(store.database), store.schedule(competition)
    live, last = competition.settings.mode == "live", table.last_performed()
    at = now if live else last or now
    at_work, waiting = _workers(table)
    cycles = {row.config: _cycles(row) for row in table.cycles(at - WHILE, at - LATELY, at)}
    checkpoint = competition.settings.checkpoint_interval_seconds or competition.pack.checkpoint_interval_seconds
    settle_within = CHECKPOINTS * checkpoint + SPARE_SECONDS
    return Contest(
        _due(competition, schedule, last, now) if live else Due(),
        {one.id: _start_within(competition, one.every) for one in schedule.standing(at)},
        settle_within,
        settle_within + _first_truth(competition, schedule.standing(at)),
        at_work,
        waiting,
        last,
        cycles.pop(None, Cycles()),
        cycles,
        _tape(competition, table, at),
        _unsettled(competition, schedule, table, at),
        _board(store),
        _models(table, at),
        table.size(),
    )


def _first_truth(competition: Competition, configs: Sequence[PredictionConfig]) -> float:
    """Seconds until something can be settled, where cycles begin; for ever, where no truth is the market's."""
    own = [one for one in configs if competition.pack.series_of(one)]
    return min(((one.every + one.horizon).total_seconds() for one in own), default=math.inf)


def _start_within(competition: Competition, every: timedelta) -> float:
    return (competition.pack.input_wait + every / TOLERANCE).total_seconds()


def _due(competition: Competition, schedule: Schedule, last: datetime | None, now: datetime) -> Due:
    grid = competition.windows
    window = grid.at(now)
    following = grid.at(window.end)
    coming, asked = schedule.next_instant(now), schedule.next_asked(now)
    awaited = schedule.next_asked(last or competition.start - INSTANT)
    pause = schedule.orders.pause(now)
    return Due(
        working=coming is not None and coming < following.end,
        waiting=schedule.count(window) > 0 and schedule.count(following) > 0,
        next=asked,
        cadence=min(one.every for one in schedule.standing(asked)).total_seconds() if asked else None,
        overdue=max(0.0, (now - awaited).total_seconds()) if awaited else 0.0,
        paused=pause.reason if pause else None,
    )


def _workers(table: HealthTable) -> tuple[Worker | None, list[Worker]]:
    """Who has the lease, and who waits for it with a claim on a window."""
    alive = [row for row in table.leases(WORK, CLAIM) if row.alive]
    claims = {row.holder: row for row in alive if row.name != WORK}
    at_work = next((row for row in alive if row.name == WORK), None)
    waiting = [_worker(row, row) for row in claims.values() if not at_work or row.holder != at_work.holder]
    return _worker(at_work, claims.get(at_work.holder)) if at_work else None, waiting


def _worker(lease: Any, claim: Any) -> Worker:
    return Worker(lease.holder, claim.name.removeprefix(CLAIM) if claim else None, lease.acquired_at)


def _cycles(row: Any) -> Cycles:
    counts = (row.performed, row.missed, row.missed_lately, row.paused, row.reason)
    return Cycles(*counts, _pair(row.dispatched), _pair(row.stored))


def _pair(found: Any) -> tuple[float, float] | None:
    return (found[0], found[1]) if found and found[0] is not None else None


def _tape(competition: Competition, table: HealthTable, now: datetime) -> list[Tape]:
    """The pack's series, each from the provider that is furthest."""
    known: dict[tuple[str, str, str], Any] = {}
    for row in table.series():
        spec = (row.asset, row.kind, row.granularity)
        if spec not in known or (row.complete_through and _further(row, known[spec])):
            known[spec] = row
    wanted = [(one.asset, one.kind, one.granularity) for one in competition.pack.series]
    return [_series(spec, known.get(spec), now) for spec in wanted]


def _further(row: Any, other: Any) -> bool:
    return other.complete_through is None or bool(row.complete_through > other.complete_through)


def _series(spec: Any, row: Any, now: datetime) -> Tape:
    if row is None:
        return Tape("/".join(spec), None, None)
    series, behind = Series(row.provider, *spec), None
    if row.complete_through:
        behind = max(0.0, (now - series.knowable_through(row.complete_through)).total_seconds())
    age = (datetime.now(UTC) - row.oldest).total_seconds() if row.oldest else 0.0
    return Tape(str(series), row.complete_through, behind, row.gaps, age, row.reason)


def _unsettled(competition: Competition, schedule: Schedule, table: HealthTable, now: datetime) -> dict[str, Unsettled]:
    """Of each config that stands, and of others that something waits of."""
    found = {row.config: row for row in table.unsettled(now)}
    configs, unsettled = schedule.configs(), {}
    for name in sorted({*found, *(one.id for one in schedule.standing(now))}):
        external = not competition.pack.series_of(configs[name])
        row = found.get(name)
        lag = (now - row.oldest).total_seconds() if row else 0.0
        unsettled[name] = Unsettled(row.cycles if row else 0, lag, external)
    return unsettled


def _board(store: Store) -> Board | None:
    row = BoardHistory(store.database).standing()
    if row.window_start is None:
        return None
    return Board(row.computed_at, row.final, (datetime.now(UTC) - row.created_at).total_seconds())


def _models(table: HealthTable, now: datetime) -> list[Model]:
    answers: dict[str, dict[str, int]] = defaultdict(dict)
    for row in table.answers(now - WHILE, now):
        answers[row.model_id][row.status] = row.n
    return [Model(row.model_id, row.state, row.reason, row.until, answers[row.model_id]) for row in table.models()]
