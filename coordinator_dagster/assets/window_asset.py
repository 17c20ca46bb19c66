"""What all windowed assets have in common: key, partitions, policies, and counts in their metadata."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dagster as dg

from coordinator_dagster.competition import Competition
from coordinator_dagster.partitions import window_partitions, windows_of
from coordinator_dagster.runtime import Runtime
from coordinator_dagster.store.summaries import summarize
from coordinator_dagster.windows import WINDOWS_AT_ONCE, Window, stretches

Step = Callable[..., Any]  # (Runtime, Sequence[Window], **options)
# The assets whose rows carry the version of the scoring slots.
VERSIONED = {"scores", "model_scores", "leaderboard"}

Extra = Callable[[Runtime, Window], Mapping[str, Any]]


def window_asset(
    competition: Competition,
    name: str,
    step: Step,
    *,
    group: str,
    kinds: set[str],
    description: str,
    deps: Mapping[str, dg.PartitionMapping | None] | None = None,
    extra: Extra | None = None,
    options: Mapping[str, dg.Field] | None = None,
) -> dg.AssetsDefinition:
    """An asset that runs `step` over its windows; one run takes as many windows as it is given.

    `deps` names the assets it reads, with the windows it needs of them. `extra` adds metadata about the
    run's last window. `options` are asked in the launchpad and given to `step` by name.
    """

    @dg.asset(
        key=[competition.schema, name],
        description=description,
        group_name=group,
        kinds=kinds,
        owners=["team:operators"],
        # Live, the open window has a partition too: its live run reports to it.
        partitions_def=window_partitions(competition, ahead=int(competition.settings.mode == "live")),
        # As many windows as are asked for in one run, or in runs that several workers share.
        backfill_policy=dg.BackfillPolicy(competition.settings.backfill_windows),
        # The pool's limit in dagster.yaml says how many batch runs of a competition are at work at once.
        pool=f"{competition.schema}_batch",
        deps=[
            dg.AssetDep([competition.schema, dep], partition_mapping=mapping) for dep, mapping in (deps or {}).items()
        ],
        required_resource_keys={"runtime"},
        config_schema=dict(options or {}),
    )
    def run(context: dg.AssetExecutionContext) -> None:
        runtime: Runtime = context.resources.runtime
        windows, began, done = windows_of(context, competition), time.monotonic(), 0
        for some in stretches(windows, WINDOWS_AT_ONCE):
            report = step(runtime, some, **context.op_execution_context.op_config)
            context.log.info(f"{some[0].key} … {some[-1].key}: {report}")
            done += len(some)
            if done < len(windows):
                progress: dict[str, Any] = {"windows_done": done, "windows": len(windows), "report": str(report)}
                context.log_event(dg.AssetObservation(context.asset_key, metadata=progress, partition=some[-1].key))
        seconds = round((time.monotonic() - began) / len(windows), 3)
        for window, metadata in describe(runtime, name, windows, extra).items():
            context.add_asset_metadata({**metadata, "seconds": seconds}, partition_key=window.key)

    return run


def describe(
    runtime: Runtime, name: str, windows: Sequence[Window], extra: Extra | None = None
) -> dict[Window, dict[str, Any]]:
    """Each window's counts, and what is extra about the last."""
    competition = runtime.competition
    version = competition.score_version() if name in VERSIONED else ""
    counts = summarize(runtime.store.database, name, windows, competition.windows.length, version)
    described = {window: {**counts.get(window.start, {})} for window in windows}
    if extra:
        described[windows[-1]] |= extra(runtime, windows[-1])
    return described
