"""What the assets are given: the competition's runtime, opened once a run."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from coordinator_dagster.competition import Competition
from coordinator_dagster.runtime import Runtime, open_runtime


def runtime_resource(competition: Competition) -> dg.ResourceDefinition:
    """Opens database, feed and models when a run starts its first asset, and closes them with the run."""

    @dg.resource(description="The competition's store, feed, models and clock.")
    @contextmanager
    def runtime(_context: dg.InitResourceContext) -> Iterator[Runtime]:
        with open_runtime(competition) as opened:
            yield opened

    return runtime
