"""A live competition whose tape has left by age: its replay takes the records out of the archive."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from typer.testing import CliRunner

from coordinator_dagster.cli import app
from coordinator_dagster.clock import FixedClock
from coordinator_dagster.competition import Competition, read_competition
from coordinator_dagster.errors import UserErrors
from coordinator_dagster.runtime import open_runtime
from coordinator_dagster.stages.archive import archive_folder
from tests.live.performing import perform_live
from tests.tables import settled_tables

START = datetime(2026, 1, 5, tzinfo=UTC)


def test_a_replay_of_a_live_competition_reads_what_has_left_from_its_archive(
    competition: Callable[..., Competition],
) -> None:
    made = competition("live", mode="live", competition_end="2026-01-05T01:00Z", market_record_ttl_days=1)
    folder = archive_folder(made)
    with open_runtime(made) as runtime:
        runtime.__dict__["clock"] = FixedClock(START + timedelta(minutes=130))
        windows = made.windows.between(made.start, made.closing)
        runtime.ingest(windows)
        perform_live(runtime, START + timedelta(minutes=9))
        for step in (runtime.predict, runtime.resolve, runtime.score, runtime.aggregate, runtime.rank):
            step(windows)
        live = settled_tables(runtime.store)
        runtime.__dict__["clock"] = FixedClock(datetime(2026, 2, 3, tzinfo=UTC))
        assert list(runtime.expire().gone) == ["2026-01"]
        assert settled_tables(runtime.store)["market_records"] == []
    copy = competition("copy", mode="replay", competition_start="", competition_end="2026-01-05T01:00Z")

    def replay() -> object:
        return CliRunner().invoke(app, ["replay", "--from-schema", made.schema]).exception

    whole = {path: path.read_bytes() for path in folder.rglob("*.parquet")}
    for path in whole:
        path.write_bytes(b"")
    refused = replay()
    assert isinstance(refused, UserErrors)
    assert len(refused.faults) == len(whole) == 2  # the look-back of the first input is of the day before
    for path, content in whole.items():
        path.write_bytes(content)
    for _ in range(2):  # again, it adds nothing
        assert replay() is None
        with open_runtime(read_competition(copy.home)) as runtime:
            replayed = settled_tables(runtime.store)
        for table in ("inference_inputs", "cycles", "ground_truths", "scores", "leaderboards", "market_records"):
            assert live[table], f"no {table}: the test would show nothing"
            assert live[table] == replayed[table], table
