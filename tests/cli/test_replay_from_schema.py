"""`coordinator replay --from-schema`: what it refuses, and that what was MISSED stays so unless it is wanted."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from coordinator_dagster.cli import app
from coordinator_dagster.clock import FixedClock
from coordinator_dagster.competition import Competition, read_competition
from coordinator_dagster.errors import UserError
from coordinator_dagster.runtime import open_runtime
from slots.market import utc
from tests.live.performing import perform_live
from tests.tables import settled_tables

START = utc("2026-01-05T00:00Z")
Make = Callable[..., Competition]


@pytest.fixture
def lived(competition: Make) -> Competition:
    """An hour of which the first ten minutes were performed, and nobody was there for the rest."""
    made = competition("live", mode="live", competition_end="2026-01-05T01:00Z")
    with open_runtime(made) as runtime:
        runtime.__dict__["clock"] = FixedClock(START + timedelta(minutes=130))
        windows = made.windows.between(made.start, made.closing)
        runtime.ingest(windows)
        perform_live(runtime, START + timedelta(minutes=9))
        for step in (runtime.predict, runtime.resolve, runtime.score, runtime.aggregate, runtime.rank):
            step(windows)
    return made


def replay(*options: str) -> str:
    done = CliRunner().invoke(app, ["replay", *options])
    if isinstance(done.exception, UserError):
        return str(done.exception)
    assert done.exit_code == 0, done.output
    return done.output


def test_it_takes_over_tape_cut_offs_and_what_was_missed(lived: Competition, competition: Make) -> None:
    copy = competition("copy", mode="replay", competition_start="", competition_end="2026-01-05T01:00Z")
    for output in (replay("--from-schema", lived.settings.competition), replay("--from-schema", lived.schema)):
        assert "cycles performed" in output
        with open_runtime(lived) as one, open_runtime(read_competition(copy.home)) as other:
            live, replayed = settled_tables(one.store), settled_tables(other.store)
        for table in ("inference_inputs", "cycles", "ground_truths", "scores", "leaderboards", "market_records"):
            assert live[table], f"no {table}: the test would show nothing"
            assert live[table] == replayed[table], table


def test_again_it_renews_what_has_changed_since(lived: Competition, competition: Make) -> None:
    copy = competition("copy", mode="replay", competition_start="", competition_end="2026-01-05T01:00Z")
    gap = "provider, asset, kind, granularity, gap_start, gap_end, state, reason"
    with open_runtime(lived) as one, one.store.database.transaction() as connection:
        connection.execute(
            text(f"insert into market_gaps ({gap}) values ('simulated', 'BTC', 'candle', '1m', :at, :at, 'open', 'r')"),
            {"at": START},
        )
    replay("--from-schema", lived.schema)
    with open_runtime(lived) as one, one.store.database.transaction() as connection:
        connection.execute(text("update market_gaps set state = 'CLOSED'"))
    replay("--from-schema", lived.schema)
    with open_runtime(read_competition(copy.home)) as other:
        assert [row.state for row in other.store.database.read("select state from market_gaps")] == ["CLOSED"]


def test_orders_of_its_own_are_not_mixed_up_with_later_ones(lived: Competition, competition: Make) -> None:
    copy = competition("copy", mode="replay", competition_start="", competition_end="2026-01-05T01:00Z")
    replay("--from-schema", lived.schema)
    for made, reason in ((read_competition(copy.home), "for study"), (lived, "the venue was wrong")):
        with open_runtime(made) as runtime, runtime.store.database.transaction() as connection:
            runtime.store.orders.give(connection, "void", START, reason, "test")
    assert "its orders 1 are others than the ones" in replay("--from-schema", lived.schema)


def test_for_study_what_was_missed_is_performed(lived: Competition, competition: Make) -> None:
    copy = competition("copy", mode="replay", competition_start="", competition_end="2026-01-05T01:00Z")
    replay("--from-schema", lived.schema, "--perform-missed")
    with open_runtime(read_competition(copy.home)) as runtime:
        rows = runtime.store.database.read("select status, count(*) as n from cycles group by 1")
    assert [(row.status, row.n) for row in rows] == [("PERFORMED", 60)]


def test_what_it_refuses(lived: Competition, competition: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    other = competition("other", mode="replay", competition_end="2026-01-05T01:00Z")
    with open_runtime(other):
        pass
    assert "no such competition here" in replay("--from-schema", "nobody")
    assert "no such competition here" in replay("--from-schema", "x; drop schema public")
    assert "it is not live" in replay("--from-schema", other.settings.competition)
    monkeypatch.setenv("COMPETITION", lived.settings.competition)
    assert "that is COMPETITION itself" in replay("--from-schema", lived.schema)
