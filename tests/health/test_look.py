"""What is read of a real database, as a live competition leaves it and as each thing that goes wrong leaves it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from coordinator_dagster.clock import FixedClock
from coordinator_dagster.competition import Competition
from coordinator_dagster.health.judging import judge
from coordinator_dagster.health.look import Look
from coordinator_dagster.health.readings import Readings
from coordinator_dagster.live.leasing import WORK, claim_of
from coordinator_dagster.runners.base import Answer
from coordinator_dagster.runtime import Runtime
from coordinator_dagster.store.store import open_as_it_stands
from tests.live.performing import perform_live
from tests.original_faults.conftest import small_inputs  # noqa: F401
from tests.original_faults.world import MINUTE, START, always, opened, settle

Make = Callable[..., Competition]
LAST = START + 45 * MINUTE
NOW = LAST + timedelta(seconds=20)
MODELS = {"a": always(0.001), "b": always(0.002), "c": lambda t: Answer("FAILED", 0.01, reason="it raised")}


class World:
    """A live competition at 45 minutes past its start, whose cycles were performed and settled."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime, self.competition = runtime, runtime.competition
        grid, leases = self.competition.windows, runtime.store.leases
        window = grid.at(NOW)
        for name, holder in ((WORK, "one"), (claim_of(window), "one"), (claim_of(grid.at(window.end)), "two")):
            assert leases.take(name, holder)
        with runtime.store.database.transaction() as connection:
            connection.execute(text("update leases set expires_at = 'infinity'"))  # on a busy machine, too

    def look(self) -> Readings:
        look = Look(self.competition)
        look._store, look._clock = self.runtime.store, FixedClock(NOW)
        return look.take()

    def found(self) -> dict[str, str]:
        return {one.what: one.severity for one in judge(self.competition, self.look())}

    @contextmanager
    def broken(self, statements: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        """Whatever is read meanwhile is read after these statements, which are taken back."""
        database = self.runtime.store.database
        read = database.read
        with database.engine.connect() as connection, monkeypatch.context() as patch:
            for one in statements:
                connection.execute(text(one), {"now": NOW} if ":now" in one else {})
            patch.setattr(database, "read", lambda sql, within=None, /, **more: read(sql, within or connection, **more))
            yield
            connection.rollback()


@pytest.fixture
def world(competition: Make, small_inputs: None) -> Iterator[World]:  # noqa: F811
    made = competition(
        mode="live",
        competition_end="2026-01-06T00:00Z",
        model_runner_max_consecutive_failures=0,
    )
    windows = [made.windows.at(START)]
    with opened(made, MODELS, clock=FixedClock(NOW)) as runtime:
        runtime.ingest(windows)
        perform_live(runtime, LAST)
        settle(runtime, windows)
        yield World(runtime)


def test_in_good_health_it_reads_what_is_there(world: World) -> None:
    readings = world.look()
    contest = readings.contest
    assert readings.database and contest and not readings.away
    assert contest.at_work and (contest.at_work.run, contest.at_work.window) == ("one", "2026-01-05-00:00")
    assert [(one.run, one.window) for one in contest.waiting] == [("two", "2026-01-05-01:00")]
    assert (contest.last, contest.due.next, contest.due.cadence) == (LAST, LAST + MINUTE, 60.0)
    assert (contest.every.performed, contest.every.missed) == (46, 0) and contest.by_config.keys() == {"btc-60s"}
    assert contest.every.dispatched and contest.every.dispatched[0] == pytest.approx(0.5, abs=0.1)
    assert contest.answers == {"SUCCESS": 92, "FAILED": 46}
    [tape] = contest.tape
    assert tape.series == "simulated/BTC/candle/1m" and tape.through == NOW and tape.behind == 0.0
    assert contest.unsettled["btc-60s"].cycles == 0
    assert contest.board and contest.board.end == START + 60 * MINUTE and not contest.board.final
    assert contest.start_within == {"btc-60s": 7.0} and contest.size > 100_000
    assert world.found() == {"failing": "warning"}, "c answers nothing"


AGE = "update leases set expires_at = now() where name {}"
MISS = "update cycles set status = 'MISSED', reason = 'it could not start: 3 s' where performed_at > :now - interval {}"
GAP = (
    "insert into market_gaps (provider, asset, kind, granularity, gap_start, gap_end, state, reason, seen_at) values "
    "('simulated', 'BTC', 'candle', '1m', :now, :now, 'open', 'lacks', now() - interval '{}')"
)
STATUS = "update forecasts set status = '{}' where {}"
FREE = "alter table forecasts disable trigger facts"
BROKEN: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "the live run's lease ran out": ((AGE.format("= 'live'"),), {"live run": "critical"}),
    "the waiting run is gone": ((AGE.format("like 'window %01:00'"),), {"waiting run": "warning"}),
    "cycles are missed": ((MISS.format("'5 minutes'"),), {"missed": "critical"}),
    "cycles were missed": (
        (MISS.format("'40 minutes'") + " and performed_at < :now - interval '20 minutes'",),
        {"missed": "warning"},
    ),
    "nobody performs": (
        ("delete from cycles where performed_at > :now - interval '10 minutes'",),
        {"overdue": "critical"},
    ),
    "slow": (
        (
            "update cycles set dispatched_at = performed_at + interval '8 seconds' where "
            "performed_at > :now - interval '2 minutes'",
        ),
        {"latency btc-60s": "warning"},
    ),
    "late": ((FREE, STATUS.format("LATE", "model_id = 'b'")), {"late answers": "warning"}),
    "nobody answers": ((FREE, STATUS.format("ABSENT", "true")), {"answers": "critical"}),
    "our fault": ((FREE, STATUS.format("PLATFORM_FAULT", "model_id = 'b'")), {"platform faults": "critical"}),
    "the feed stands still": (
        ("update market_ingestion_state set complete_through = :now - interval '5 minutes'",),
        {"tape": "critical"},
    ),
    "the feed never came": (("delete from market_ingestion_state",), {"tape": "critical"}),
    "a gap": ((GAP.format("1 minute"),), {"gaps": "warning"}),
    "a gap that nobody heals": ((GAP.format("20 hours"),), {"gaps": "critical"}),
    "nobody settles": (("delete from ground_truths",), {"settling btc-60s": "warning"}),
    "the board stands still": (
        ("update leaderboards set created_at = now() - interval '20 minutes'",),
        {"board": "warning"},
    ),
    "suspended": ((FREE, STATUS.format("SUSPENDED", "model_id = 'b'")), {"suspended": "warning"}),
    "suspended en masse": ((FREE, STATUS.format("SUSPENDED", "model_id <> 'a'")), {"suspended": "critical"}),
    "the tables of another version": (("update alembic_version set version_num = '0001'",), {"database": "critical"}),
}


def test_each_thing_that_goes_wrong_is_seen(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = {}
    for name, (statements, expected) in BROKEN.items():
        with world.broken(statements, monkeypatch):
            found = world.found()
        if not expected.items() <= found.items():
            missing[name] = found
    assert not missing
    assert world.found() == {"failing": "warning"}, "all of it was taken back"


def test_a_database_that_is_away_is_told(competition: Make) -> None:
    made = competition(mode="live", database_url="postgresql://root:S3CRET@127.0.0.1:9/test")
    with closing(Look(made)) as look:
        readings = look.take()
    assert readings.database is None and readings.away and "S3CRET" not in readings.away
    assert [(one.what, one.severity) for one in judge(made, readings)] == [("database", "critical")]


def test_an_embedded_server_is_not_started(competition: Make, tmp_path: Path) -> None:
    made = competition(mode="live", database_url="")
    with closing(Look(made)) as look:
        assert "does not run" in look.take().away
    assert not (tmp_path / ".coordinator" / "postgres").exists()


@pytest.mark.parametrize("given", [True, False])
def test_tables_without_configs_and_without_dagsters_are_read(
    competition: Make, database_url: str, monkeypatch: pytest.MonkeyPatch, given: bool
) -> None:
    made = competition(mode="live", dagster_schema="nothing_there")
    if given:
        monkeypatch.setenv("DAGSTER_POSTGRES_URL", f"{database_url}?options=-csearch_path%3Dnothing_there")
    open_as_it_stands(made).close()
    with closing(Look(made)) as look:
        readings = look.take()
    assert readings.database and readings.contest and readings.dagster is None and not readings.contest.due.working


def test_nothing_is_made_where_nothing_is(competition: Make) -> None:
    made = competition(mode="live", dagster_schema="nothing_there")
    with closing(Look(made)) as look:
        readings = look.take()
        assert readings.database and readings.contest is None and readings.dagster is None
        assert look._store and not look._store.database.read(
            "select from pg_namespace where nspname = any(:names)", names=[made.schema, "nothing_there"]
        )
    assert [(one.what, one.severity) for one in judge(made, readings)] == [("begun", "critical")]
