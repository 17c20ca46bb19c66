"""What the models are given."""

from datetime import timedelta

import dagster as dg

from coordinator_dagster.assets.window_asset import window_asset
from coordinator_dagster.competition import Competition
from coordinator_dagster.partitions import reaching
from coordinator_dagster.runtime import Runtime


def inference_inputs(competition: Competition) -> dg.AssetsDefinition:
    look_back = timedelta(minutes=competition.settings.feed_backfill_minutes)
    return window_asset(
        competition,
        "inference_inputs",
        Runtime.build_inputs,
        group="infer",
        kinds={"postgres", "python"},
        description="One payload per instant: what was on the tape as of then, nothing later. Instants whose "
        "series are not complete yet wait; materialize again when `market_records` has gone on.",
        deps={"market_records": reaching(competition, back=look_back)},
    )
