"""What each model is worth."""

import dagster as dg

from coordinator_dagster.assets.window_asset import window_asset
from coordinator_dagster.competition import Competition
from coordinator_dagster.partitions import reaching
from coordinator_dagster.runtime import Runtime


def model_scores(competition: Competition) -> dg.AssetsDefinition:
    return window_asset(
        competition,
        "model_scores",
        Runtime.aggregate,
        group="rank",
        kinds={"postgres", "python"},
        description="Each model's metrics at the end of the window, over the look-back, and how many of the due "
        "cycles it answered. Later windows that look back on this one are renewed with it.",
        deps={"scores": reaching(competition, back=competition.pack.look_back)},
    )
