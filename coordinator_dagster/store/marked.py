"""Schemas that a command makes for itself: the comment says so, and only what bears it is ever dropped."""

from sqlalchemy import text

from coordinator_dagster.errors import UserError
from coordinator_dagster.store.database import Database


def drop_marked(database: Database, mark: str, refusal: str) -> None:
    """Drop the database's schema, if there is one. UserError `refusal` when it does not bear the mark."""
    found = database.read(
        "select obj_description(oid, 'pg_namespace') as mark from pg_namespace where nspname = :name",
        name=database.schema,
    )
    if found and found[0].mark != mark:
        raise UserError(refusal)
    with database.transaction() as connection:
        connection.execute(text(f"drop schema if exists {database.schema} cascade"))


def make_marked(database: Database, mark: str) -> None:
    """Make the schema, empty."""
    with database.transaction() as connection:
        connection.execute(text(f"create schema {database.schema}"))
        connection.execute(text(f"comment on schema {database.schema} is '{mark}'"))
