"""The tape."""

import dagster as dg

from coordinator_dagster.assets.window_asset import window_asset
from coordinator_dagster.competition import Competition
from coordinator_dagster.runtime import Runtime


def market_records(competition: Competition) -> dg.AssetsDefinition:
    return window_asset(
        competition,
        "market_records",
        Runtime.ingest,
        group="ingest",
        kinds={"postgres", competition.settings.feed_provider},
        description="Candles and ticks as the feed gave them, each once, the first one kept. A window holds what "
        "was over in it; `market_ingestion_state` says through when each series is complete, `market_gaps` what "
        "is missing. Materialized again, only that is fetched, so that a backfill that was cut short goes on where "
        "it was; with `refetch` all of it is, to find what the venue has added or restated.",
        options={"refetch": dg.Field(bool, default_value=False, description="fetch what is on the tape again, too")},
    )
