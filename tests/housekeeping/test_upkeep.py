"""The competition's own tables: next month's are there, and what is dead is used again."""

from collections.abc import Callable
from datetime import timedelta

import dagster as dg

from coordinator_dagster.competition import Competition
from coordinator_dagster.housekeeping import AHEAD, MONTHLY, Report, keep_tables
from coordinator_dagster.housekeeping_job import housekeeping_job
from coordinator_dagster.runtime import open_runtime
from coordinator_dagster.store.upkeep import keep_up

FILLED = "insert into cut_offs select now() + n * interval '1 s', now() from generate_series(1, 5000) n"
DEAD = "select n_dead_tup from pg_stat_user_tables where schemaname = :schema and relname = 'cut_offs'"


def test_dead_rows_are_reused_and_wholes_known(competition: Callable[..., Competition]) -> None:
    made = competition()
    with open_runtime(made) as runtime, runtime.store.database.alone() as connection:
        database = runtime.store.database
        connection.exec_driver_sql("alter table cut_offs set (autovacuum_enabled = false)")
        for table in MONTHLY:
            database.ensure_months(table, made.start, made.start)
        connection.exec_driver_sql(FILLED)
        connection.exec_driver_sql("delete from cut_offs")
        done = keep_up(connection)
        assert {"cut_offs", "market_records", "forecasts", "scores"} <= set(done)
        assert database.read(DEAD, schema=made.schema)[0].n_dead_tup == 0
        assert keep_up(connection) == [], "and not again"
        with database.alone() as other:
            other.exec_driver_sql("select pg_advisory_lock(hashtext(current_schema() || '.upkeep'))")
            connection.exec_driver_sql(
                "insert into cut_offs select now() + n * interval '1 s', now() from generate_series(1, 5000) n"
            )
            connection.exec_driver_sql("delete from cut_offs")
            assert keep_up(connection) == [], "another is at it"
            other.exec_driver_sql("select pg_advisory_unlock_all()")
            assert keep_up(connection) == ["cut_offs"]


def test_next_months_tables_are_there_and_old_leases_gone(competition: Callable[..., Competition]) -> None:
    made = competition(mode="live", competition_end="2099-01-01T00:00Z")
    with open_runtime(made) as runtime:
        database, then = runtime.store.database, runtime.clock.now() + AHEAD - timedelta(days=1)
        for name in ("window 2026-01-05-00:00", "run abc", "live"):
            assert runtime.store.leases.take(name, "somebody")
        with database.transaction() as connection:
            connection.exec_driver_sql("update leases set expires_at = now() - interval '2 days'")
        keep_tables(runtime, Report())
        assert all(database.has(f"{table}_{then:%Y_%m}") for table in MONTHLY)
        assert [row.name for row in database.read("select name from leases")] == ["live"]


def test_the_job_says_what_it_did(competition: Callable[..., Competition], played: object) -> None:
    made = competition()
    instance: dg.DagsterInstance = played.instance  # type: ignore[attr-defined]
    done = housekeeping_job(made, []).execute_in_process(instance=instance)
    (output,) = [event for event in done.all_node_events if event.event_type_value == "STEP_OUTPUT"]
    metadata = output.step_output_data.metadata
    assert metadata["runs_deleted"].value == 0
    assert metadata["unfinished"].value is False
