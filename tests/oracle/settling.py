"""What the tests that settle by hand share."""

from collections.abc import Sequence

from coordinator_dagster.runtime import Runtime
from coordinator_dagster.windows import Window


def settle(runtime: Runtime, windows: Sequence[Window]) -> None:
    """Resolve truth, score, aggregate, rank: over stored forecasts, without asking a model."""
    runtime.resolve(windows)
    runtime.score(windows)
    runtime.aggregate(windows)
    runtime.rank(windows)
