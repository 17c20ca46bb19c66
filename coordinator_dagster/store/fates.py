"""`market_fates`: how many records of a series were not simply new, by what became of them."""

from collections.abc import Sequence

from sqlalchemy import text

from coordinator_dagster.feeds.fates import Met
from coordinator_dagster.store.database import Database
from coordinator_dagster.store.tape import series_key


class FateTable:
    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, met: Sequence[Met]) -> None:
        """Count them; the last of each kind is kept in words."""
        if not met:
            return
        with self._database.transaction() as connection:
            connection.execute(
                text(
                    "insert into market_fates as f (provider, asset, kind, granularity, fate, count, last_detail) "
                    "values (:provider, :asset, :kind, :granularity, :fate, :count, :detail) "
                    "on conflict (provider, asset, kind, granularity, fate) do update set "
                    " count = f.count + excluded.count, last_detail = excluded.last_detail, last_at = now()"
                ),
                [  # one order for all: two runs may meet
                    {**series_key(one.series), "fate": one.fate, "count": one.count, "detail": one.detail}
                    for one in sorted(met, key=lambda one: (str(one.series), one.fate))
                ],
            )
