"""Where Dagster's own tables are: DAGSTER_SCHEMA, never a competition's schema."""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import create_engine, make_url, text

from coordinator_dagster.competition import Competition
from coordinator_dagster.dagster_storage import dagster_url
from coordinator_dagster.errors import UserError, UserErrors
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
