"""What the UI shows beside a materialization."""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import dagster as dg
import pytest
from matplotlib.figure import Figure

from coordinator_dagster.assets.market_records import market_records
from coordinator_dagster.code_location import build_definitions
from coordinator_dagster.competition import Competition
from coordinator_dagster.feeds.base import MICROSECOND
from coordinator_dagster.feeds.simulated import SimulatedFeed
from coordinator_dagster.resources import runtime_resource
from slots.market import MarketRecord, Series, utc

HOUR = "2026-01-05-00:00"


def test_seconds_are_short_and_the_plots_legend_hides_nothing(
    competition: Callable[..., Competition], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Figure] = []
    save = Figure.savefig

    def save_and_keep(figure: Figure, *args: Any, **named: Any) -> None:
        drawn.append(figure)
        save(figure, *args, **named)

    monkeypatch.setattr(Figure, "savefig", save_and_keep)
    made = competition()
    job = build_definitions(made).resolve_job_def(f"{made.schema}_loop")
    with dg.DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(instance=instance, partition_key=HOUR)
        found = [event.materialization.metadata for event in result.get_asset_materialization_events()]
    seconds = [float(metadata["seconds"].value) for metadata in found]
    assert len(seconds) == 7
    assert seconds == [round(one, 3) for one in seconds]

    (figure,) = drawn
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "actual",
        "mean_reversion",
        "trend_following",
        "volatility_regime",
    ]
    for axes in figure.axes:
        assert not axes.get_legend()
        assert not axes.get_tightbbox().overlaps(legend.get_window_extent())


def test_a_backfill_shows_its_progress_its_gaps_and_fetches_nothing_twice(
    competition: Callable[..., Competition], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = competition(competition_end="2026-01-07T00:00Z")
    asset = market_records(made)
    fetch, asked = SimulatedFeed.fetch, []

    def holed(feed: SimulatedFeed, series: Series, start: datetime, end: datetime) -> Iterator[MarketRecord]:
        asked.append((start, end))
        return (one for one in fetch(feed, series, start, end) if one.ts_event != utc("2026-01-05T00:30Z"))

    monkeypatch.setattr(SimulatedFeed, "fetch", holed)
    tags = {"dagster/asset_partition_range_start": HOUR, "dagster/asset_partition_range_end": "2026-01-06-23:00"}
    resources = {"runtime": runtime_resource(made)}
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([asset], instance=instance, resources=resources, tags=tags)
        shown = {event.partition: event.materialization.metadata for event in result.get_asset_materialization_events()}
        progress = [event.asset_observation_data.asset_observation for event in result.get_asset_observation_events()]
        dg.materialize([asset], instance=instance, resources=resources, tags=tags)
        again = {"ops": {asset.op.name: {"config": {"refetch": True}}}}
        dg.materialize([asset], instance=instance, resources=resources, tags=tags, run_config=again)
    assert len(shown) == 48
    assert (shown[HOUR]["records"].value, shown[HOUR]["standing_gaps"].value) == (59, 1)
    assert (shown["2026-01-05-01:00"]["records"].value, "standing_gaps" in shown["2026-01-05-01:00"]) == (60, False)
    assert [(one.metadata["windows_done"].value, one.metadata["windows"].value) for one in progress] == [(24, 48)]
    gap = [(utc("2026-01-05T00:29Z") + MICROSECOND, utc("2026-01-05T00:30Z") + MICROSECOND)]
    assert len(asked) == 5, "two days, then the gap, then two days again"
    assert asked[2:3] == gap
