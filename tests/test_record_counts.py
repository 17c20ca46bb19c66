"""How many records of a series there are: kept by the database, whoever writes them and from wherever."""

import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime

from alembic import command
from alembic.config import Config
from sqlalchemy import text

from coordinator_dagster.competition import Competition
from coordinator_dagster.store.database import Database
from coordinator_dagster.store.expiry import ExpiryTable, Month
from coordinator_dagster.store.migrating import MIGRATIONS, migrate
from coordinator_dagster.store.store import database_url, open_store

Make = Callable[..., Competition]
INSERT = (
    "insert into {0}market_records (provider, asset, kind, granularity, ts_event, event_end, known_at, values_jsonb) "
    "select 'here', 'BTC', 'tick', '1s', t, t, t, '{{}}' "
    "from generate_series(timestamptz '{1}', timestamptz '{1}' + interval '49 s', '1 s') t"
)


def counted(database: Database) -> tuple[int, int]:
    return (
        database.read("select count(*) as n from market_records")[0].n,
        int(database.read("select coalesce(sum(record_count), 0) as n from market_record_counts")[0].n),
    )


def test_what_is_being_written_when_counting_begins_is_counted(competition: Make) -> None:
    made = competition()
    with closing(Database(database_url(made), made.schema)) as database:
        with database.engine.begin() as connection:
            connection.execute(text(f'create schema "{made.schema}"'))
            config = Config(attributes={"connection": connection, "schema": made.schema})
            config.set_main_option("script_location", str(MIGRATIONS))
            command.upgrade(config, "0008")
        database.ensure_months("market_records", datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC))
        upgrade = threading.Thread(target=migrate, args=(database,))
        with database.transaction() as connection:
            connection.execute(text(INSERT.format("", "2026-01-05 00:00+00")))
            upgrade.start()
            time.sleep(0.5)
            assert upgrade.is_alive(), "it waits for who writes"
        upgrade.join()
        assert counted(database) == (50, 50)


def test_it_does_not_matter_where_it_is_written_from(competition: Make) -> None:
    made = competition()
    with closing(open_store(made)) as store:
        store.database.ensure_months("market_records", made.start, made.start)
        with store.database.transaction() as connection:
            connection.execute(text("set local search_path = pg_catalog"))
            connection.execute(text(INSERT.format(f"{made.schema}.", "2026-01-05 00:00+00")))
        assert counted(store.database) == (50, 50)


def test_a_month_leaves_while_another_one_of_its_series_is_written(competition: Make) -> None:
    made = competition()
    january, february = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
    with closing(open_store(made)) as store:
        database = store.database
        database.ensure_months("market_records", january, february)
        with database.transaction() as connection:
            connection.execute(text(INSERT.format("", "2026-01-05 00:00+00")))
            connection.execute(
                text(
                    "insert into tape_archives (provider, asset, kind, granularity, day, path, row_count, bytes, "
                    "sha256, complete) values ('here', 'BTC', 'tick', '1s', '2026-01-05', 'x', 50, 1, 'x', true)"
                )
            )
        expiring = threading.Thread(
            target=ExpiryTable(database).leave, args=(Month(january, february), february, lambda: None)
        )
        with database.transaction() as writer:
            writer.execute(text(INSERT.format("", "2026-02-05 00:00+00")))
            expiring.start()
            for _ in range(10):
                with database.transaction() as settler:
                    settler.execute(text("set local lock_timeout = '900ms'"))
                    store.settle_after(settler)  # nobody who settles is kept waiting for longer
                time.sleep(0.1)
            assert expiring.is_alive(), "it waits for who writes"
        expiring.join()
        assert counted(database) == (50, 50)
