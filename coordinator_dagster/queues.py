"""The queues of a competition's runs where Celery's workers execute them; with other launchers the tag says nothing."""

from typing import Literal

from dagster import AssetKey, DagsterRun

from coordinator_dagster.competition import Competition

QUEUE = "dagster-celery/queue"  # the tag that dagster-celery reads
BATCH_TAGS = {
    "dagster/priority": "-1",
    # A run that hangs is ended after an hour, and its place in the pool is free.
    "dagster/max_runtime": "3600",
}
Lane = Literal["live", "batch"]


def queue_name(schema: str, lane: Lane) -> str:
    """A competition's own: its runs need its packages and its settings. Live runs never wait behind batch runs."""
    return f"{schema}_{lane}"


def queue_tag(competition: Competition, lane: Lane) -> dict[str, str]:
    return {QUEUE: queue_name(competition.schema, lane)}


def asset_keys(run: DagsterRun) -> list[AssetKey]:
    """What a run materializes or checks: of a run from the asset graph, which has no job, it says whose it is."""
    return [*(run.asset_selection or ()), *(one.asset_key for one in run.asset_check_selection or ())]
