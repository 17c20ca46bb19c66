"""The OpenAPI description against what is answered: any question, as schemathesis invents them."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from limits import parse
from schemathesis.checks import positive_data_acceptance

from coordinator_dagster.keys import digest, key_of
from coordinator_dagster.report import access
from coordinator_dagster.report.app import create_app
from coordinator_dagster.store.keys import KeyTable
from tests.report.played import played, tables
from tests.report.serving import serving

SECRET = 64 * "a"
MORE_IS_REFUSED = [positive_data_acceptance]  # than a JSON schema can say, such as years far away


@pytest.fixture(scope="module")
def described(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The description of a competition of an hour, and its operator's key."""
    with (
        played(database_url, tmp_path_factory.mktemp("described"), "described", windows=1) as made,
        tables(made) as database,
        pytest.MonkeyPatch.context() as patch,
        serving(create_app(made)) as url,
    ):
        for limit in ("WRONG_KEYS", "REQUESTS"):
            patch.setattr(access, limit, parse("1000000/second"))
        id_ = KeyTable(database).add("op", "operator", None, digest(SECRET))
        assert id_ == 1
        yield schemathesis.openapi.from_url(f"{url}/openapi.json")


def ask_anything(described: Any, only: str, examples: int, **headers: str) -> set[int]:
    """Every question that the description allows, and others; which statuses came. Fails with all that is not as
    described: a status, a field, a type, a header."""
    statuses, faults = set[int](), list[str]()
    for operation in (found.ok() for found in described.include(path_regex=only).get_all_operations()):

        @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
        @given(case=operation.as_strategy())
        def asked(case: Any) -> None:
            statuses.add(case.call_and_validate(headers=headers, excluded_checks=MORE_IS_REFUSED).status_code)

        try:
            asked()
        except (Exception, BaseExceptionGroup) as fault:
            faults.append(f"{operation.label}: {fault}")
    assert faults == []
    return statuses


def test_anybody_may_ask_anything(described: Any) -> None:
    assert {200, 401, 404, 422} <= ask_anything(described, ".*", 25)


def test_so_may_the_operator(described: Any) -> None:
    assert 200 in ask_anything(described, "^/(private|models)", 50, Authorization=f"Bearer {key_of(1, SECRET)}")
