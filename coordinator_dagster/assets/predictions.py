"""What the models answered."""

import dagster as dg

from coordinator_dagster.assets.window_asset import window_asset
from coordinator_dagster.competition import Competition
from coordinator_dagster.runtime import Runtime
from coordinator_dagster.windows import Window


def confinement(runtime: Runtime, window: Window) -> dict[str, str]:
    """Which layers the models of this run did not have."""
    if runtime.confinement is None:
        return {}
    return {"confinement": "; ".join(f"no {name}: {why}" for name, why in runtime.confinement.items()) or "every layer"}


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
        extra=confinement,
    )
