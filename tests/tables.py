"""The settled tables without what rule 8 excludes: surrogate ids, wall-clock stamps, measured durations."""

from typing import Any

from coordinator_dagster.store.store import Store

EXCLUDED = {
    "id",
    "created_at",
    "updated_at",
    "ts_ingested",
    "seen_at",
    "resolved_at",
    "score_scored_at",
    "first_used_at",
    "exec_time_ms",
    "queued_ms",
    "dispatched_at",
    "stored_at",
    "answered_at",
}
TABLES = (
    "models",
    "scheduled_prediction_configs",
    "market_records",
    "market_ingestion_state",
    "market_gaps",
    "market_restatements",
    "inference_inputs",
    "cycles",
    "forecasts",
    "ground_truths",
    "scores",
    "score_rollups",
    "model_scores",
    "leaderboards",
    "slot_versions",
    "predictions",
)


def settled_tables(store: Store) -> dict[str, list[dict[str, Any]]]:
    """Every table's rows as dicts, in a canonical order."""
    tables = {}
    for table in TABLES:
        keep = {"models", "scheduled_prediction_configs"} & {table}
        rows = [
            {name: value for name, value in row._mapping.items() if name not in EXCLUDED or (keep and name == "id")}
            for row in store.database.read(f"select * from {table}")
        ]
        tables[table] = sorted(rows, key=repr)
    return tables


def row_counts(store: Store) -> dict[str, int]:
    return {table: store.database.read(f"select count(*) as n from {table}")[0].n for table in TABLES}
