"""Loaded once by the process that forks the others: what a run imports late, it has then imported."""

import alembic.command  # noqa: F401
import dagster as dg
from sqlalchemy import create_engine

import tests.crash.victim  # noqa: F401


@dg.asset
def nothing() -> None:
    """Runs so that Dagster has loaded all it takes."""


create_engine("postgresql+psycopg2://")
with dg.DagsterInstance.ephemeral() as instance:
    dg.materialize([nothing], instance=instance)
