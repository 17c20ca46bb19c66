"""Forecasts refer to models without a foreign key: who writes them sees to it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from coordinator_dagster.competition import Competition
from coordinator_dagster.runtime import open_runtime
from coordinator_dagster.stages.facts import Cycle, Forecast


def test_a_forecast_of_a_model_that_is_not_known_is_refused_with_its_whole_window(
    competition: Callable[..., Competition],
) -> None:
    made, t = competition(), datetime(2026, 1, 5, tzinfo=UTC)
    cycle = Cycle("btc-60s", t, t + timedelta(minutes=1), "PERFORMED", None, t, t, "BTC-60s", {}, {})
    forecast = Forecast("nobody", cycle, "SUCCESS", 1.0, 1.0, {"value": 0.0}, t, t, "a", {})
    with open_runtime(made) as runtime:
        with pytest.raises(LookupError, match="not known, among nobody"):
            runtime.store.cycles.add(made.windows.at(t), [cycle], [forecast])
        assert not runtime.store.database.read("select from cycles") + runtime.store.database.read(
            "select from forecasts"
        )
