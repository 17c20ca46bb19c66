"""A Dagster instance over PostgreSQL, and a small history in it, played once."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value
from sqlalchemy import create_engine, make_url, text

from coordinator_dagster.store.database import with_driver
from tests.conftest import drop
from tests.housekeeping.history import play

TABLES = ("runs", "event_logs", "asset_event_tags", "asset_check_executions", "run_tags", "bulk_actions", "asset_keys")


@dataclass(frozen=True)
class Past:
    """An instance with runs, by what they are, of these assets; and plain SQL in its schema."""

    instance: dg.DagsterInstance
    url: str
    assets: list[dg.AssetsDefinition]
    runs: Mapping[str, str]

    def rows(self, sql: str, **given: Any) -> list[Any]:
        engine = create_engine(self.url)
        with engine.begin() as connection:
            result = connection.execute(text(sql), given)
            found = list(result.all()) if result.returns_rows else []
        engine.dispose()
        return found

    def counts(self) -> dict[str, int]:
        return {table: self.rows(f"select count(*) from {table}")[0][0] for table in TABLES}

    def events(self, run: str) -> int:
        return len(self.instance.all_logs(self.runs[run]))

    def age(self, days: float, young: str = "") -> None:
        """All runs but the `young` ones ended so long ago."""
        old = [run for name, run in self.runs.items() if name != young]
        for table, column in (("runs", "update_timestamp"), ("asset_check_executions", "create_timestamp")):
            then = f"update {table} set {column} = now() at time zone 'utc' - cast(:ago as interval)"
            self.rows(f"{then} where run_id = any(:runs)", ago=timedelta(days=days), runs=old)

    def answers(self) -> dict[str, Any]:
        """What the pages of assets, partitions and checks rest on."""
        storage, found = self.instance.event_log_storage, dict[str, Any]()
        for one in self.assets:
            found |= {f"{one.key.path[-1]}: {name}": value for name, value in self._answers_of(one).items()}
        checks = [key for one in self.assets for key in one.check_keys]
        latest = storage.get_latest_asset_check_execution_by_key(checks)
        found["checks"] = {str(key): (row.id, row.run_id, str(row.event)) for key, row in latest.items()}
        found["summaries"] = str(storage.get_asset_check_summary_records(checks))
        return found

    def _answers_of(self, one: dg.AssetsDefinition) -> dict[str, Any]:
        instance, storage, kind = self.instance, self.instance.event_log_storage, dg.DagsterEventType
        entry = instance.get_asset_records([one.key])[0].asset_entry
        status = get_and_update_asset_status_cache_value(instance, one.key, one.partitions_def)
        instance.wipe_asset_cached_status([one.key])
        not_done = storage.get_latest_asset_partition_materialization_attempts_without_materializations
        latest = instance.fetch_materializations(one.key, limit=1).records
        return {
            "materialized": sorted(instance.get_materialized_partitions(one.key)),
            "latest": [entry.last_materialization_storage_id, entry.last_run_id],
            "status": status,
            "status made anew": get_and_update_asset_status_cache_value(instance, one.key, one.partitions_def),
            "latest event": [(each.storage_id, each.run_id, str(each.asset_materialization)) for each in latest],
            "by partition": storage.get_latest_storage_id_by_partition(one.key, kind.ASSET_MATERIALIZATION),
            "tags": storage.get_latest_tags_by_partition(one.key, kind.ASSET_MATERIALIZATION, ["dagster/data_version"]),
            "not done": not_done(one.key),
            "observed": [each.storage_id for each in instance.fetch_observations(one.key, limit=1).records],
            "planned": storage.get_latest_planned_materialization_info(one.key),
            "version": str(instance.get_latest_data_version_record(one.key)),
        }


@pytest.fixture(scope="module")
def played(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Past]:
    name = f"test_{os.getpid()}_dagster"
    drop(database_url, name)
    engine = create_engine(with_driver(database_url))
    with engine.begin() as connection:
        connection.execute(text(f"create schema {name}"))
    engine.dispose()
    options = {"options": f"-csearch_path={name}"}
    url = make_url(with_driver(database_url)).update_query_dict(options).render_as_string(hide_password=False)
    home: Path = tmp_path_factory.mktemp("dagster_home")
    (home / "dagster.yaml").write_text(f"storage: {{postgres: {{postgres_url: '{url}'}}}}\n")
    with dg.DagsterInstance.from_config(str(home)) as instance:
        past = Past(instance, url, *play(instance))
        for table in TABLES:
            past.rows(f"create table saved_{table} as table {table}")
        yield past
    drop(database_url, name)


@pytest.fixture
def past(played: Past) -> Past:
    """As it was when it had been played."""
    played.rows(f"truncate {', '.join(TABLES)} cascade")
    for table in TABLES:
        played.rows(f"insert into {table} select * from saved_{table}")
    return played
