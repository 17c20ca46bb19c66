"""What a replay takes over of a live competition, in the same database: its tape, its cut-offs, its orders."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, text

from coordinator_dagster.errors import UserErrors
from coordinator_dagster.faults import nearest
from coordinator_dagster.settings import schema_name
from coordinator_dagster.store.database import Database

TAPE = "provider, asset, kind, granularity"
GAP = f"{TAPE}, gap_start"
RECORD = f"{TAPE}, ts_event, event_end, known_at, ts_ingested, values_jsonb, meta_jsonb"
CONFIG = (
    'id, base_id, scope_key, scope_template_jsonb, schedule_jsonb, active, "order", meta_jsonb, series_jsonb, '
    "active_from, active_until"
)
CYCLE = "prediction_config_id, performed_at, resolvable_at, window_start, status, reason"
TRUTH = "prediction_config_id, performed_at, resolvable_at, status, reason, truth_jsonb, external, given_up"
ORDER = "id, kind, effective_at, until, model_id, prediction_config_id, reason, given_by, given_at, detail_jsonb"


@dataclass(frozen=True)
class Live:
    """A live competition's schema, and what is fixed for it."""

    schema: str
    start: datetime
    window: str
    last_window: datetime | None


def find_live(database: Database, name: str) -> Live:
    """The live competition of that name; UserErrors when there is none in this database."""
    schema = schema_name(name)
    known = [
        row.name
        for row in database.read(
            "select n.nspname as name from pg_namespace n join pg_class c on c.relnamespace = n.oid "
            "where c.relname = 'competition' order by 1"
        )
    ]
    if not re.fullmatch(r"[a-z][a-z0-9_]*", schema) or schema not in known:
        there = ", ".join(known) or "none"
        raise UserErrors([f"--from-schema={name}: no such competition here{nearest(schema, known)}; there are {there}"])
    rows = database.read(
        f'select mode, start, "window", (select max(window_start) from {schema}.cycles) as last '
        f"from {schema}.competition"
    )
    if not rows or rows[0].mode != "live":
        raise UserErrors([f"--from-schema={name}: it is not live; a replay is repeated by `coordinator replay` itself"])
    return Live(schema, rows[0].start, rows[0].window, rows[0].last)


def take_over(database: Database, live: str, perform_missed: bool, input_wait: timedelta) -> None:
    """Copy what is not here yet: again, it adds what has come since. UserErrors, and nothing copied, where it cannot.

    Only instants with a cut-off are performed: those that were, and with `perform_missed` those that were MISSED,
    cut off `input_wait` after them.
    """
    months = database.read(f"select min(ts_event) as first, max(ts_event) as last from {live}.market_records")[0]
    if months.first:
        database.ensure_months("market_records", months.first, months.last + timedelta(days=31))
    with database.transaction() as connection:
        # One snapshot: the tape is complete through what is said of it, though the competition goes on.
        connection.execute(text("set transaction isolation level repeatable read"))
        _refuse_own_orders(connection, live)
        for table, columns in (
            ("market_records", RECORD),
            ("market_restatements", f"{TAPE}, ts_event, values_jsonb, first_values_jsonb, seen_at"),
            ("models", "id, name, deployment_identifier, player_id, player_name"),
        ):
            _copy(connection, live, table, columns)
        state = f"{TAPE}, last_event_ts, complete_through, meta_jsonb"
        _renew(connection, live, "market_ingestion_state", TAPE, state)
        gaps = f"{GAP}, gap_end, state, reason, seen_at, updated_at, empty_answers"
        _renew(connection, live, "market_gaps", GAP, gaps)
        # The ended versions first: only one of a config may stand at a time.
        ended_first = "order by active_until nulls last, id"
        _renew(connection, live, "scheduled_prediction_configs", "id", CONFIG, ended_first)
        _copy(connection, live, "operator_orders", ORDER, "overriding system value")
        connection.execute(
            text(
                "select setval(pg_get_serial_sequence('operator_orders', 'id'), max(id)) from operator_orders "
                "having max(id) is not null"
            )
        )
        connection.execute(
            text(
                "insert into cut_offs (performed_at, cut_off) "
                f"select performed_at, cut_off from {live}.inference_inputs on conflict do nothing"
            )
        )
        if perform_missed:
            connection.execute(
                text(
                    "insert into cut_offs (performed_at, cut_off) select distinct performed_at, performed_at + :wait "
                    f"from {live}.cycles where status = 'MISSED' on conflict do nothing"
                ),
                {"wait": input_wait},
            )
        else:
            _copy(connection, live, "cycles", CYCLE, where="where status = 'MISSED'")
        # What cannot be found again: truths from elsewhere, and what was given up.
        connection.execute(
            text(
                f"insert into ground_truths (version, {TRUTH}) select case when external then version else 'given up' "
                f" end, {TRUTH} from {live}.ground_truths where external or given_up on conflict do nothing"
            )
        )


def _copy(connection: Connection, live: str, table: str, columns: str, how: str = "", where: str = "") -> None:
    connection.execute(
        text(
            f"insert into {table} ({columns}) {how} select {columns} from {live}.{table} {where} on conflict do nothing"
        )
    )


def _refuse_own_orders(connection: Connection, live: str) -> None:
    """An order that the replay was given itself may have a number that one of the live competition has by now."""
    twice = connection.execute(
        text(
            f"select o.id from operator_orders o join {live}.operator_orders l using (id) "
            "where (o.kind, o.given_at, o.reason) is distinct from (l.kind, l.given_at, l.reason) order by 1"
        )
    ).scalars()
    if numbers := ", ".join(map(str, twice)):
        raise UserErrors(
            [
                f"--from-schema={live}: its orders {numbers} are others than the ones of the same numbers here, which "
                "this replay was given itself; name another COMPETITION for the replay"
            ]
        )


def _renew(connection: Connection, live: str, table: str, key: str, columns: str, order: str = "") -> None:
    """Copy what changes while the competition goes on; what is here under the same key is renewed."""
    changing = [one for one in columns.split(", ") if one not in key.split(", ")]
    renewed = ", ".join(f"{one} = excluded.{one}" for one in changing)
    connection.execute(
        text(
            f"insert into {table} ({columns}) select {columns} from {live}.{table} {order} "
            f"on conflict ({key}) do update set {renewed}"
        )
    )
