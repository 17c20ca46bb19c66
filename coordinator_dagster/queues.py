"""The queues of a competition's runs where Celery's workers execute them; with other launchers the tag says nothing."""

from typing import Literal

from coordinator_dagster.competition import Competition

QUEUE = "dagster-celery/queue"  # the tag that dagster-celery reads
Lane = Literal["live", "batch"]


def queue_name(schema: str, lane: Lane) -> str:
    """A competition's own: its runs need its packages and its settings. Live runs never wait behind batch runs."""
    return f"{schema}_{lane}"


def queue_tag(competition: Competition, lane: Lane) -> dict[str, str]:
    return {QUEUE: queue_name(competition.schema, lane)}
