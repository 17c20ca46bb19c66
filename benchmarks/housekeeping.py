"""A year of a live competition's runs in Dagster's tables: the first night's cleaning, and an ordinary one.

Two live runs an hour, each with its events; rows are copies of what `shape` says, made by SQL. Every sixth window was
settled once more by a batch run. Usage: make bench NAME=housekeeping ARGS="URL [DAYS]".
"""

import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg
from sqlalchemy import Connection, create_engine, make_url, text

from coordinator_dagster.housekeeping import Report, clean_dagster
from coordinator_dagster.store.dagster_rows import Owner
from coordinator_dagster.store.database import with_driver

ASSETS = 7  # materialized at a window's end
OBSERVATIONS = 60  # of each live run: three assets each three minutes
LINES = 40  # log lines, steps, engine
BYTES = 1300  # of an event
RUNS = """insert into runs (run_id, pipeline_name, status, run_body, create_timestamp, update_timestamp)
select n || '-' || kind, 'bench_live', 'SUCCESS', repeat('r', 2000), ended, ended from (
    select n, kind, (now() at time zone 'utc') - make_interval(hours => cast(:hours as int) - n) as ended
    from generate_series(1, cast(:hours as int)) n, unnest(array['a', 'b']) kind
    union all select n, 'c', (now() at time zone 'utc') - make_interval(hours => cast(:hours as int) - n)
    from generate_series(1, cast(:hours as int), 6) n) r order by n, kind"""
EVENT = f"repeat(md5(random()::text), {BYTES // 32})"
EVENTS = f"""insert into event_logs (run_id, event, dagster_event_type, timestamp, asset_key, partition)
select run_id, {EVENT}, kind, now(), asset, part from (
    select r.run_id, r.id, split_part(r.run_id, '-', 1) as part, split_part(r.run_id, '-', 2) as which, n
    from runs r, generate_series(1, {LINES + OBSERVATIONS + ASSETS}) n) e,
lateral (select case when n <= {LINES} then (array[null, 'ENGINE_EVENT', 'STEP_START', null])[1 + n % 4]
                     when n <= {LINES + OBSERVATIONS} then 'ASSET_OBSERVATION' else 'ASSET_MATERIALIZATION' end as kind,
                case when n > {LINES} then '["bench", "asset' || n % {ASSETS} || '"]' end as asset) k
where which = 'a' or kind = 'ASSET_MATERIALIZATION' and which = 'c' or kind is null or kind like 'S%' order by id, n"""
SIZE = (
    "select sum(pg_total_relation_size(oid)) from pg_class where relkind = 'r' "
    "and relnamespace = cast(current_schema() as regnamespace)"
)


def run(arguments: Sequence[str]) -> dict[str, Any]:
    """The first night over everything, and a second one; seconds, rows and bytes."""
    server, days = arguments[0], int(arguments[1]) if len(arguments) > 1 else 365
    name = f"bench_{os.getpid()}_dagster"
    admin = create_engine(with_driver(server), isolation_level="AUTOCOMMIT")
    url = make_url(with_driver(server)).update_query_dict({"options": f"-csearch_path={name}"})
    with admin.connect() as connection, tempfile.TemporaryDirectory() as home:
        connection.execute(text(f"create schema {name}"))
        try:
            said = url.render_as_string(hide_password=False)
            (Path(home) / "dagster.yaml").write_text(f"storage: {{postgres: {{postgres_url: '{said}'}}}}\n")
            engine = create_engine(url, isolation_level="AUTOCOMMIT")
            with dg.DagsterInstance.from_config(home) as instance, engine.connect() as plain:
                detail = _measure(instance, plain, days)
            engine.dispose()
        finally:
            connection.execute(text(f"drop schema {name} cascade"))
    return {"name": "housekeeping", "value": detail["first_night_seconds"], "unit": "s", "detail": detail}


def _measure(instance: dg.DagsterInstance, plain: Connection, days: int) -> dict[str, Any]:
    plain.execute(text(RUNS), {"hours": days * 24})
    plain.execute(text(EVENTS))
    plain.execute(text("vacuum (analyze)"))
    detail: dict[str, Any] = {"days": days} | {f"{key}_before": value for key, value in _counts(plain).items()}
    for night in ("first_night", "second_night"):
        report, began = Report(), time.monotonic()
        clean_dagster(instance, Owner(None, ["bench_live"], "bench"), 30, 3600, report)
        detail[f"{night}_seconds"] = time.monotonic() - began
        detail |= {f"{night}_runs_deleted": report.runs_deleted, f"{night}_events_deleted": report.events_deleted}
        detail[f"{night}_vacuumed"] = ", ".join(report.vacuumed)
        print(detail, file=sys.stderr)
    detail |= {f"{key}_after": value for key, value in _counts(plain).items()}
    plain.execute(text("vacuum full event_logs"))  # what it would take, were it written anew
    detail["bytes_of_what_is_left"] = _counts(plain)["bytes"]
    return detail


def _counts(plain: Connection) -> dict[str, int]:
    return {
        "runs": plain.execute(text("select count(*) from runs")).scalar_one(),
        "events": plain.execute(text("select count(*) from event_logs")).scalar_one(),
        "bytes": int(plain.execute(text(SIZE)).scalar_one()),
    }
