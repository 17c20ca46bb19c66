"""What came true."""

import dagster as dg

from coordinator_dagster.assets.window_asset import window_asset
from coordinator_dagster.competition import Competition
from coordinator_dagster.partitions import reaching
from coordinator_dagster.runtime import Runtime


def ground_truths(competition: Competition) -> dg.AssetsDefinition:
    horizon = max(config.horizon for config in competition.pack.configs)
    return window_asset(
        competition,
        "ground_truths",
        Runtime.resolve,
        group="resolve",
        kinds={"postgres", "python"},
        description="One truth per cycle, for all models, from the tape once it is complete through the moment "
        "the cycle resolves at. Data missing for good make the cycle VOID, with the reason; otherwise it waits.",
        deps={"predictions": None, "market_records": reaching(competition, ahead=horizon)},
    )
