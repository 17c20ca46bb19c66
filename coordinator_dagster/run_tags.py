"""The tags by which Dagster knows the partitions that a run is of."""

from collections.abc import Mapping

PARTITION = "dagster/partition"
FIRST, LAST = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


def range_tags(first: str, last: str) -> dict[str, str]:
    """For a run of the partitions from `first` to `last`, both keys."""
    return {FIRST: first, LAST: last}


def partitions_of(tags: Mapping[str, str]) -> str | None:
    """A run's partition, or its first and last one, for people; None where it is of none."""
    first, last = tags.get(FIRST), tags.get(LAST)
    return tags.get(PARTITION) or (first if first == last else f"{first} … {last}")
