"""What the UI shows beside a materialization."""

from collections.abc import Callable
from typing import Any

import dagster as dg
import pytest
from matplotlib.figure import Figure

from coordinator_dagster.competition import Competition
from coordinator_dagster.definitions import build_definitions

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
