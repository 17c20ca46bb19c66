"""A scratch schema over a competition's facts, to settle them again, and the comparison with what is stored."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text

from coordinator_dagster.store.database import Database

# Read where they are; nothing that settles writes them.
FACTS = (
    "competition",
    "scheduled_prediction_configs",
    "market_records",
    "market_restatements",
    "market_ingestion_state",
    "tape_expired",
    "inference_inputs",
    "forecasts",
    "operator_orders",
    "model_exclusions",
)
WRITTEN = ("market_gaps", "slot_versions", "score_rollups", "model_scores", "leaderboards", "ground_truths")
# What must come out the same: rule 8 excludes surrogate ids and wall-clock stamps.
COMPARED = {
    "ground_truths": (
        "prediction_config_id, performed_at, version, resolvable_at, status, reason, truth_jsonb, external, order_id"
    ),
    "scores": (
        "model_id, prediction_config_id, scope_key, performed_at, resolvable_at, version, status, score_value, "
        "score_success, score_failed_reason, due, answered"
    ),
    "score_rollups": (
        "version, window_end, model_id, scope_key, window_start, due, answered, scored, charged, score_sum, "
        "score_sum_squares"
    ),
    "model_scores": "model_id, score_payload_jsonb, computed_at, window_start, version",
    "leaderboards": "entries_jsonb, meta_jsonb, window_start, computed_at, final, version",
}


@dataclass(frozen=True)
class Difference:
    """Rows of a table that settling again does not give: only here, or only there."""

    table: str
    stored_only: list[dict[str, Any]]
    again_only: list[dict[str, Any]]


@contextmanager
def scratch_schema(database: Database, truth_version: str) -> Iterator[Database]:
    """The facts of a competition as views, and empty tables for what is settled; dropped at the end.

    The cycles are those that have ended. What cannot be found again is taken over: truths from elsewhere, those whose
    records have left the tape by age, and which cycles were given up.
    """
    live, name = database.schema, f"{database.schema}_resettle"
    same = "t.prediction_config_id = c.prediction_config_id and t.performed_at = c.performed_at"
    statements = [
        f"drop schema if exists {name} cascade",
        f"create schema {name}",
        *(f"create view {name}.{table} as select * from {live}.{table}" for table in FACTS),
        f"create view {name}.cycles as select c.* from {live}.cycles c where c.status <> 'PERFORMED' or exists "
        f"(select from {live}.ground_truths t where {same} and t.version = :version)",
        *(f"create table {name}.{table} (like {live}.{table} including all)" for table in WRITTEN),
        f"create table {name}.scores (like {live}.scores including all) partition by range (performed_at)",
        f"create table {name}.models (like {live}.models including all)",
        f"insert into {name}.models select * from {live}.models",
        f"update {name}.models set overall_score_jsonb = null, meta_jsonb = meta_jsonb - 'scored_through'",
        f"insert into {name}.ground_truths select * from {live}.ground_truths where version = :version "
        f" and (external or performed_at < (select cycles_from from {live}.tape_expired))",
        # What was given up stays so in any version: under one that is nobody's it is not a result, but known.
        f"insert into {name}.ground_truths (prediction_config_id, performed_at, version, resolvable_at, status, "
        " reason, given_up) select distinct on (prediction_config_id, performed_at) prediction_config_id, "
        f" performed_at, 'given up', resolvable_at, 'VOID', reason, true from {live}.ground_truths where given_up",
    ]
    scratch = Database(database.url, name)
    try:
        with database.transaction() as connection:
            for statement in statements:
                connection.execute(text(statement.replace(":version", f"'{truth_version}'")))
        yield scratch
    finally:
        scratch.close()
        with database.transaction() as connection:
            connection.execute(text(f"drop schema if exists {name} cascade"))


def differences(database: Database, scratch: Database, versions: tuple[str, str], most: int = 20) -> list[Difference]:
    """What differs between the stored tables, in these versions of truths and scores, and those settled again."""
    found = []
    for table, columns in COMPARED.items():
        version = versions[0] if table == "ground_truths" else versions[1]
        sides = [
            f"select {columns} from {schema}.{table} where version = :version"
            for schema in (database.schema, scratch.schema)
        ]
        only = [
            [dict(row._mapping) for row in database.read(f"{a} except {b} limit :most", version=version, most=most)]
            for a, b in (sides, reversed(sides))
        ]
        if any(only):
            found.append(Difference(table, *only))
    return found
