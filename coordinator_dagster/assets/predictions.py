"""What the models answered."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from coordinator_dagster.assets.window_asset import window_asset
from coordinator_dagster.competition import Competition
from coordinator_dagster.runtime import Runtime
from coordinator_dagster.store.summaries import suspensions
from coordinator_dagster.windows import Window

COLUMNS = {"model": "string", "after": "string", "until": "string", "cycles": "int", "reason": "string"}


def predictions(competition: Competition) -> dg.AssetsDefinition:
    return window_asset(
        competition,
        "predictions",
        Runtime.predict,
        group="infer",
        kinds={"postgres", "python"},
        description="Every model's forecast in every cycle of the window, with its status, committed together. "
        "What is stored never changes: materializing again performs only cycles that had not been. In a live "
        "competition a window that is over is only recorded as MISSED.",
        deps={"inference_inputs": None},
        extra=how_models_were_run,
    )


def how_models_were_run(runtime: Runtime, window: Window) -> Mapping[str, Any]:
    """The confinement of this run's models, and who was suspended in the window."""
    return {**_confinement(runtime), **_suspensions(runtime, window)}


def _confinement(runtime: Runtime) -> dict[str, str]:
    """Which layers the models of this run did not have."""
    if runtime.confinement is None:
        return {}
    return {"confinement": "; ".join(f"no {name}: {why}" for name, why in runtime.confinement.items()) or "every layer"}


def _suspensions(runtime: Runtime, window: Window) -> dict[str, Any]:
    """Who was suspended. No Markdown: a reason holds what a participant's code said."""
    found = suspensions(runtime.store.database, window)
    if not found:
        return {}
    records = [dg.TableRecord(dict(zip(COLUMNS, row, strict=True))) for row in found]
    schema = dg.TableSchema(columns=[dg.TableColumn(name, kind) for name, kind in COLUMNS.items()])
    return {"suspensions": dg.MetadataValue.table(records, schema=schema)}
