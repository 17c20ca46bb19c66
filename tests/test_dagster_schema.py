"""Where Dagster's own tables are: DAGSTER_SCHEMA, never a competition's schema."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait

import pytest
from sqlalchemy import create_engine, inspect, make_url, text

from coordinator_dagster.competition import Competition
from coordinator_dagster.dagster_storage import alone, dagster_url, make_tables
from coordinator_dagster.errors import UserError, UserErrors
from coordinator_dagster.store.database import with_driver
from coordinator_dagster.store.store import open_store
from tests.ui import sql

Make = Callable[..., Competition]


@pytest.fixture
def keyword(database_url: str) -> Iterator[str]:
    """A schema that SQL has another meaning for."""
    yield "user"
    sql(database_url, 'drop schema if exists "user"')


def test_it_is_made_and_looked_in(competition: Make, keyword: str) -> None:
    competition(dagster_schema=keyword)
    engine = create_engine(dagster_url())
    with engine.connect() as connection:
        assert connection.scalar(text("select current_schema()")) == keyword
    engine.dispose()


def test_by_default_it_is_dagster(competition: Make) -> None:
    competition()
    assert make_url(dagster_url()).query["options"] == "-csearch_path=dagster"


@pytest.mark.parametrize("name", ["Dagster", "two words", "a-b", "1st", "pg_dagster", "information_schema", "a" * 64])
def test_a_bad_name_is_refused(competition: Make, name: str) -> None:
    with pytest.raises(UserErrors, match=f"environment: DAGSTER_SCHEMA = '{name}': must name a schema: a lower-case"):
        competition(dagster_schema=name)


def test_the_competitions_own_schema_is_refused(competition: Make, schema: Callable[[str], str]) -> None:
    name = schema("own")
    with pytest.raises(UserErrors, match=r"DAGSTER_SCHEMA = .*_own': is the schema of the competition; choose another"):
        competition("own", dagster_schema=name.replace("-", "_"))


def test_another_competitions_schema_is_refused(competition: Make) -> None:
    other = competition("other")
    open_store(other).close()
    competition("a", dagster_schema=other.schema)
    with pytest.raises(UserError, match=f"DAGSTER_SCHEMA={other.schema}: a competition has its tables there"):
        dagster_url()


def test_whoever_comes_while_another_makes_its_tables_waits(database_url: str) -> None:
    """Dagster takes them for made as soon as the first is there."""
    schema = "dagster_together"
    sql(database_url, f"drop schema if exists {schema} cascade")
    url = make_url(with_driver(database_url)).update_query_dict({"options": f"-csearch_path={schema}"})
    engine = create_engine(url)
    try:
        sql(database_url, f"create schema {schema}")
        with ThreadPoolExecutor(2) as services:
            with engine.begin() as another:
                alone(another)
                made = [services.submit(make_tables, url.render_as_string(hide_password=False)) for _ in range(2)]
                assert wait(made, 1).done == set()
                assert inspect(another).get_table_names() == []
            for one in made:
                one.result()
        assert {"runs", "event_logs", "jobs", "instance_info"} <= set(inspect(engine).get_table_names())
    finally:
        engine.dispose()
        sql(database_url, f"drop schema if exists {schema} cascade")
