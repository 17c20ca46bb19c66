"""Each day's board is frozen once, when it is final."""

from collections.abc import Callable
from datetime import timedelta

import dagster as dg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError

from coordinator_dagster.clock import FixedClock
from coordinator_dagster.code_location import build_definitions
from coordinator_dagster.competition import Competition
from coordinator_dagster.runtime import Runtime
from slots.market import utc
from tests.original_faults.world import always, opened, perform, rows, settle, windows_of

Make = Callable[..., Competition]
# Two hours of one day, and two of the next, whose last truth is at 02:00.
SETTINGS = {"competition_start": "2026-01-05T22:00Z", "competition_end": "2026-01-06T02:00Z"}
MIDNIGHT, NEXT = utc("2026-01-06T00:00Z"), utc("2026-01-07T00:00Z")
FROZEN = "select emitted_at, payload_jsonb as payload from emission_checkpoints order by 1"


def emit_at(runtime: Runtime, moment: str) -> tuple[list[str], list[str]]:
    """The days that are frozen then, and those that wait."""
    runtime.__dict__["clock"] = FixedClock(utc(moment))
    report = runtime.emit()
    return report.frozen, list(report.waiting)


def test_a_day_is_frozen_when_it_is_over_and_its_last_board_is_final(competition: Make) -> None:
    with opened(competition(**SETTINGS), {"a": always(0.001), "b": always(0.002)}) as runtime:
        windows = windows_of(runtime.competition)
        perform(runtime, windows)
        settle(runtime, windows[:1])
        assert emit_at(runtime, "2026-01-06T00:05Z") == ([], ["2026-01-05"]), "its last window has no board"
        runtime.resolve(windows[1:2])
        runtime.aggregate(windows[1:2])
        runtime.rank(windows[1:2])
        assert emit_at(runtime, "2026-01-06T00:05Z") == ([], ["2026-01-05"]), "its board is interim"
        settle(runtime, windows)
        assert emit_at(runtime, "2026-01-05T23:59Z") == ([], []), "it is not over"
        assert emit_at(runtime, "2026-01-06T03:00Z") == (["2026-01-05"], [])
        [kept] = rows(runtime, FROZEN)
        board = runtime.store.boards.latest_leaderboard(windows[1].start)
        assert kept["emitted_at"] == MIDNIGHT == board.computed_at
        assert kept["payload"]["entries"] == board.entries_jsonb and len(board.entries_jsonb) == 2
        assert kept["payload"]["version"] == board.version
        assert utc(kept["payload"]["computed_at"]) == MIDNIGHT
        [noted] = rows(runtime, "select * from checkpoints")
        assert (noted["checkpoint_kind"], noted["interval_seconds"]) == ("emission", 86_400)
        assert (noted["last_run_at"], noted["next_run_at"]) == (utc("2026-01-06T03:00Z"), NEXT)

        # The last day has its last window before midnight.
        assert emit_at(runtime, "2026-01-07T00:00Z") == (["2026-01-06"], [])
        assert rows(runtime, FROZEN)[1]["emitted_at"] == NEXT
        assert utc(rows(runtime, FROZEN)[1]["payload"]["computed_at"]) == utc("2026-01-06T02:00Z")
        assert emit_at(runtime, "2026-02-01T00:00Z") == ([], []), "there are no days after the last truth"


def test_what_is_frozen_stays(competition: Make) -> None:
    with opened(competition(**SETTINGS), {"a": always(0.001)}) as runtime:
        windows = windows_of(runtime.competition)
        perform(runtime, windows)
        settle(runtime, windows)
        runtime.store.checkpoints.ran("emission", 86_400, MIDNIGHT, NEXT)
        with runtime.store.database.transaction() as connection:
            connection.execute(text("update leaderboards set final = false where window_start = '2026-01-06T00:00Z'"))
        runtime.store.checkpoints.freeze(NEXT, windows[2].start)
        assert not rows(runtime, FROZEN), "it became interim again in the meantime"
        assert emit_at(runtime, "2026-01-06T00:05Z")[0] == ["2026-01-05"]
        before = rows(runtime, FROZEN)
        with runtime.store.database.transaction() as connection:
            connection.execute(text("update leaderboards set entries_jsonb = '[]'"))
        runtime.store.checkpoints.freeze(MIDNIGHT, windows[1].start)
        assert emit_at(runtime, "2026-01-06T00:06Z") == ([], [])
        assert rows(runtime, FROZEN) == before
        for change in ("update emission_checkpoints set payload_jsonb = '{}'", "delete from emission_checkpoints"):
            with pytest.raises(DatabaseError, match="append-only"), runtime.store.database.transaction() as connection:
                connection.execute(text(change))


def test_an_order_that_ends_the_competition_ends_its_last_day(competition: Make) -> None:
    made = competition(competition_start="2026-01-05T22:00Z", competition_end="2026-01-06T22:00Z")
    with opened(made, {"a": always(0.001)}) as runtime:
        windows = windows_of(made)[:4]
        perform(runtime, windows)
        settle(runtime, windows)
        with runtime.store.database.transaction() as connection:
            runtime.store.orders.give(connection, "end", utc("2026-01-06T02:00Z"), "it rains", "test")
        assert emit_at(runtime, "2026-01-07T00:05Z") == (["2026-01-05", "2026-01-06"], [])
        assert utc(rows(runtime, FROZEN)[1]["payload"]["computed_at"]) == utc("2026-01-06T02:00Z")


def test_the_asset_takes_days_in_one_run_and_says_which_wait(competition: Make) -> None:
    made = competition(**SETTINGS)
    with opened(made, {"a": always(0.001)}) as runtime:
        windows = windows_of(made)
        perform(runtime, windows)
        settle(runtime, windows[:2])
    definitions = build_definitions(made)
    asset = dg.AssetKey([made.schema, "emission_checkpoints"])
    partitions = definitions.resolve_asset_graph().get(asset).partitions_def
    assert partitions and list(partitions.get_partition_keys()) == ["2026-01-05", "2026-01-06"]
    tags = {"dagster/asset_partition_range_start": "2026-01-05", "dagster/asset_partition_range_end": "2026-01-06"}
    with dg.DagsterInstance.ephemeral() as instance:
        done = definitions.resolve_job_def(f"{made.schema}_emission").execute_in_process(instance=instance, tags=tags)
    assert done.success
    metadata = {
        one.partition: {name: value.value for name, value in one.materialization.metadata.items()}
        for one in done.get_asset_materialization_events()
    }
    assert metadata["2026-01-05"]["frozen"] is True
    assert (metadata["2026-01-05"]["listed"], metadata["2026-01-05"]["first_place"]) == (1, "a")
    assert metadata["2026-01-06"] == {"frozen": False, "waits": "its last window has no board in the version shown"}


def test_nothing_to_do_is_cheap(competition: Make) -> None:
    """After three years: the days that are frozen cost a look at an index each."""
    days = 1_095
    end = utc("2026-01-05T00:00Z") + timedelta(days=days)
    with opened(competition(competition_end=end.isoformat()), clock=FixedClock(end + timedelta(hours=1))) as runtime:
        runtime.store.checkpoints.ran("emission", 86_400, end, None)
        with runtime.store.database.transaction() as connection:
            connection.execute(
                text(
                    "insert into emission_checkpoints (checkpoint_id, emitted_at, payload_jsonb) select 1, "
                    "generate_series(timestamptz '2026-01-06', :end, interval '1 day'), '{}'"
                ),
                {"end": end},
            )
        report = runtime.emit()
        assert (report.kept, report.frozen, list(report.waiting)) == (days, [], [])
