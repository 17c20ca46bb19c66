"""The jobs an operator launches."""

import dagster as dg

from coordinator_dagster.competition import Competition


def loop_job(competition: Competition) -> dg.JobDefinition:
    """Every windowed asset, for as many windows as it is launched with."""
    everything = dg.AssetSelection.groups("ingest", "infer", "resolve", "score", "rank")
    return dg.define_asset_job(  # type: ignore[return-value]
        f"{competition.schema}_loop",
        selection=everything,
        description="Ingest, infer, resolve, score and rank the chosen windows, in one run.",
    )
