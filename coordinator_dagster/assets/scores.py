"""What each forecast was worth."""

import dagster as dg

from coordinator_dagster.assets.plots import price_and_forecasts
from coordinator_dagster.assets.window_asset import window_asset
from coordinator_dagster.competition import Competition
from coordinator_dagster.runtime import Runtime


def scores(competition: Competition) -> dg.AssetsDefinition:
    return window_asset(
        competition,
        "scores",
        Runtime.score,
        group="score",
        kinds={"postgres", "python"},
        description="A score for every forecast of a settled cycle: SCORED, CHARGED for an absence by the pack's "
        "rule, or EXEMPT; and their sums per model, scope and window (`score_rollups`). After a slot changed, "
        "materialize the look-back again: the old board stands until that is whole.",
        deps={"predictions": None, "ground_truths": None},
        extra=price_and_forecasts,
    )
