"""A schema to try a node in: made for it, empty, and dropped again; and what a trial left in it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import text

from coordinator_dagster.errors import UserError
from coordinator_dagster.store.database import Database, ServerAway
from coordinator_dagster.store.marked import drop_marked, make_marked

MARK = "made by coordinator verify, which drops it"


@contextmanager
def trial_schema(url: str, name: str) -> Iterator[Database]:
    """Its database. UserError when the schema is somebody else's, or another trial is in it."""
    database = Database(url, name)
    try:
        with _alone(database):
            _drop(database)
            make_marked(database, MARK)
            try:
                yield database
            finally:
                _drop_at_the_end(database)
    finally:
        database.close()


@contextmanager
def _alone(database: Database) -> Iterator[None]:
    """The lock ends with the connection, whatever ends that."""
    # Not a transaction: one that is open for so long would keep the server from cleaning up.
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        lock = text("select pg_try_advisory_lock(hashtext(:name))")
        if not connection.execute(lock, {"name": f"{database.schema}.trial"}).scalar_one():
            raise UserError(f"another `coordinator verify` is at work in the schema {database.schema}; wait for it")
        try:
            yield
        finally:
            connection.invalidate()  # a lock outlives what is given back to the pool


def _drop(database: Database) -> None:
    drop_marked(
        database,
        MARK,
        f"the schema {database.schema}, which `coordinator verify` makes and drops, is somebody else's; drop it "
        "yourself if nobody needs it, or choose another COMPETITION",
    )


def _drop_at_the_end(database: Database) -> None:
    try:
        _drop(database)
    except ServerAway as error:
        raise UserError(
            f"the schema {database.schema} could not be dropped ({error}); the next `coordinator verify` drops it"
        ) from None


def forecasts(database: Database) -> Sequence[Any]:
    """Every forecast with its score, by instant, config and model."""
    return database.read(
        "select performed_at, prediction_config_id, model_id, status, inference_output_jsonb as output, "
        " meta_jsonb->>'reason' as reason, score_value, score_failed_reason "
        "from predictions order by performed_at, prediction_config_id, model_id"
    )


def first_truth(database: Database, config: str, at: datetime) -> Any:
    """The truth of that cycle: `status`, `reason`, `truth`; None while there is none."""
    rows = database.read(
        "select status, reason, truth_jsonb as truth from ground_truths "
        "where prediction_config_id = :config and performed_at = :at",
        config=config,
        at=at,
    )
    return rows[0] if rows else None
