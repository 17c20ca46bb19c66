"""What is deployed, and its loss. `make production` runs what takes minutes."""

import os
from collections.abc import Callable
from typing import Any

import pytest


def production(test: Callable[..., Any]) -> Callable[..., Any]:
    """Marks a test that only `make production` runs."""
    asked = os.environ.get("COORDINATOR_TEST_PRODUCTION") == "1"
    skip = pytest.mark.skipif(not asked, reason="takes minutes: `make production`")
    return pytest.mark.production(pytest.mark.timeout(1800)(skip(test)))  # type: ignore[no-any-return]
