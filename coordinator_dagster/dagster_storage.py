"""Dagster's own tables: dagster-postgres, connecting only when something is read or written.

So `dagster definitions validate` needs no database, and `dagster dev` in a fresh clone starts the embedded
one. The URL is DAGSTER_POSTGRES_URL, which `coordinator dev` sets; without it, the schema DAGSTER_SCHEMA of the
competition's database.
"""

import os
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

from dagster._core.storage.defs_state.base import DefsStateStorage
from dagster._serdes import ConfigurableClass, ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage
from sqlalchemy import URL, Engine, create_engine, event, make_url, text

from coordinator_dagster.competition import default_home
from coordinator_dagster.errors import UserError
from coordinator_dagster.settings import read_settings
from coordinator_dagster.store.database import with_driver
from coordinator_dagster.store.embedded import start_embedded

NOT_YET = "postgresql+psycopg2:///not-connected-yet"


class LazyPostgresStorage(DagsterPostgresStorage):
    """DagsterPostgresStorage that finds its server, and makes its tables, at the first connection."""

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(NOT_YET, should_autocreate_tables=False, inst_data=inst_data)

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> "LazyPostgresStorage":
        return cls(inst_data)


@cache
def _server() -> URL:
    url = dagster_url()
    DagsterPostgresStorage(url, should_autocreate_tables=True)
    return make_url(url)


@event.listens_for(Engine, "do_connect")
def _find_server(dialect: Any, _record: Any, _args: Any, parameters: dict[str, Any]) -> None:
    """Send connections to NOT_YET to the server: on any engine, for the webserver makes engines of its own."""
    if parameters.get("dbname") == make_url(NOT_YET).database:
        parameters.clear()
        parameters.update(dialect.create_connect_args(_server())[1])


class NoDefinitionsState(DefsStateStorage[Any], ConfigurableClass):
    """We have no state-backed definitions; Dagster's default would ask the database for them at each load."""

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        self._inst_data = inst_data

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        return self._inst_data

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> "NoDefinitionsState":
        return cls(inst_data)

    def get_latest_defs_state_info(self) -> None:
        return None

    def download_state_to_path(self, key: str, version: str, path: Path) -> NoReturn:
        raise NotImplementedError("this code location has no state-backed definitions")

    def upload_state_from_path(self, key: str, version: str, path: Path) -> NoReturn:
        raise NotImplementedError("this code location has no state-backed definitions")

    def set_latest_version(self, key: str, version: str | None) -> NoReturn:
        raise NotImplementedError("this code location has no state-backed definitions")


def dagster_url() -> str:
    """Where Dagster keeps its runs and events; starts the embedded server when nothing else is configured.

    UserError when DAGSTER_SCHEMA is the schema of a competition.
    """
    if given := os.environ.get("DAGSTER_POSTGRES_URL"):
        return with_driver(given)
    home = default_home()
    settings = read_settings(home)
    configured, schema = settings.database_url, settings.dagster_schema
    url = with_driver(configured.get_secret_value() if configured else start_embedded(home))
    engine = create_engine(url)
    with engine.begin() as connection:
        if connection.scalar(text("select to_regclass(:table)"), {"table": f"{schema}.operator_orders"}):
            raise UserError(
                f"DAGSTER_SCHEMA={schema}: a competition has its tables there; choose another, such as {schema}_dagster"
            )
        connection.execute(text(f'create schema if not exists "{schema}"'))
    engine.dispose()
    return in_schema(url, schema)


def in_schema(url: str, schema: str) -> str:
    """The URL, with its tables in that schema."""
    return make_url(url).update_query_dict({"options": f"-csearch_path={schema}"}).render_as_string(hide_password=False)
