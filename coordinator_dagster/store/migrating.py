"""Brings a competition's tables up to date, also while others work on them."""

from functools import lru_cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from tenacity import RetryError, Retrying, retry_if_exception, stop_after_delay, wait_random

from coordinator_dagster.errors import UserError, first_line
from coordinator_dagster.store.database import Database
from coordinator_dagster.store.locks import locked

MIGRATIONS = Path(__file__).parent / "migrations"
PATIENCE, PATIENCE_SECONDS = "1s", 300  # for a lock, after which others go first; for all of them


def migrate(database: Database) -> None:
    """Create the schema and bring its tables up to date; UserError when the server or they cannot be used.

    Who works on the tables meanwhile waits for a second at most, the migration for its turn for minutes.
    """
    database.server_version()
    turns = Retrying(retry=retry_if_exception(locked), wait=wait_random(1, 3), stop=stop_after_delay(PATIENCE_SECONDS))
    try:
        for turn in turns:
            with turn, database.transaction() as connection:
                upgrade(connection, database.schema, PATIENCE)
    except RetryError:
        raise UserError(
            f"DATABASE_URL: the tables of {database.schema} were in use for {PATIENCE_SECONDS} s without a pause; end "
            "what holds them (pg_stat_activity shows it), and start again"
        ) from None
    except CommandError:
        raise UserError(of_another_version(database.schema, database.revision())) from None


def of_another_version(schema: str, revision: str | None) -> str:
    """Of tables whose revision this code does not know."""
    return (
        f"DATABASE_URL: the tables of {schema} are not of this version (revision {revision}); run the version of the "
        "coordinator that made them, or a newer one"
    )


def try_migration(database: Database) -> None:
    """The same, and taken back: nothing has changed. UserError when it could not be done."""
    database.server_version()
    with database.engine.connect() as connection:
        try:
            upgrade(connection, database.schema, PATIENCE)
        except (CommandError, DBAPIError) as error:
            if locked(error):
                raise UserError(
                    f"DATABASE_URL: the tables of {database.schema} are in use, and a trial keeps nobody waiting for "
                    f"over {PATIENCE}; try again"
                ) from None
            raise UserError(
                f"DATABASE_URL: the schema {database.schema} cannot be migrated: {first_line(error)}; run the "
                "version of the coordinator that made it, or a newer one, as a user who may create and alter it"
            ) from None
        finally:
            connection.rollback()


def newest_revision() -> str:
    """What `alembic_version` holds where the tables are those of this code."""
    return revisions()[-1]


@lru_cache(1)
def revisions() -> list[str]:
    """What it may hold, oldest first."""
    return [one.revision for one in ScriptDirectory.from_config(_config()).walk_revisions()][::-1]


def upgrade(connection: Connection, schema: str, patience: str) -> None:
    """The same within a transaction, which waits for a lock for `patience` at most."""
    connection.execute(text("select set_config('lock_timeout', :patience, true)"), {"patience": patience})
    # Two processes may start at once; the second finds everything done.
    connection.execute(text("select pg_advisory_xact_lock(hashtext(:name))"), {"name": schema})
    connection.execute(text(f'create schema if not exists "{schema}"'))
    config = _config()
    config.attributes.update(connection=connection, schema=schema)
    command.upgrade(config, "head")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config
