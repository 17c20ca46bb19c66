"""What proofs of production share. They take minutes each: `make production`."""

import os

import pytest

WANTED = os.environ.get("COORDINATOR_TEST_PRODUCTION") == "1"
SKIP = pytest.mark.skipif(not WANTED, reason="takes minutes: `make production`")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("production"):
            item.add_marker(SKIP)
