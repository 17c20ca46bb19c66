"""What the runs are given: the competition's runtime, opened once a run, while the run shows that it lives."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from coordinator_dagster.competition import Competition
from coordinator_dagster.heartbeat import beating
from coordinator_dagster.runtime import Runtime, open_runtime


@contextmanager
def runtime_of_run(competition: Competition, run_id: str, as_it_stands: bool = False) -> Iterator[Runtime]:
    """The runtime for one batch run; `as_it_stands` as `open_runtime` has it."""
    with open_runtime(competition, as_it_stands) as opened, beating(opened.store.leases, run_id):
        yield opened


def runtime_resource(competition: Competition) -> dg.ResourceDefinition:
    """Opens database, feed and models when a run starts its first asset, and closes them with the run."""

    @dg.resource(description="The competition's store, feed, models and clock.")
    @contextmanager
    def runtime(context: dg.InitResourceContext) -> Iterator[Runtime]:
        assert context.run, "a resource of runs"
        with runtime_of_run(competition, context.run.run_id) as opened:
            yield opened

    return runtime
