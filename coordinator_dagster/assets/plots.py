"""Plots for the UI's metadata."""

import base64
import io
from collections.abc import Mapping
from itertools import groupby
from typing import Any

import dagster as dg

from coordinator_dagster.runtime import Runtime
from coordinator_dagster.store.summaries import forecasts_beside_truth
from coordinator_dagster.windows import Window

BASIS_POINTS = 10_000


def price_and_forecasts(runtime: Runtime, window: Window) -> Mapping[str, Any]:
    """The window's price, and each model's forecast return beside the one that came; for numeric answers."""
    version = runtime.competition.truth_version()
    rows = [
        row
        for row in forecasts_beside_truth(runtime.store.database, window, version)
        if {"return", "resolved_price"} <= set(row.truth) and isinstance(row.output.get("value"), int | float)
    ]
    if not rows:
        return {}
    from matplotlib.figure import Figure  # slow to import, and only runs that score need it

    figure = Figure(figsize=(9, 5), layout="constrained")
    prices, returns = figure.subplots(2, 1, sharex=True)
    scope = rows[0].scope_key
    shown = [row for row in rows if row.scope_key == scope]
    for place, (model, group) in enumerate(groupby(shown, key=lambda row: row.model_id)):
        own = list(group)
        times = [row.resolvable_at for row in own]
        if place == 0:
            prices.plot(times, [row.truth["resolved_price"] for row in own], color="black")
            returns.plot(times, [row.truth["return"] * BASIS_POINTS for row in own], color="black", label="actual")
        returns.plot(times, [row.output["value"] * BASIS_POINTS for row in own], label=model, linewidth=1)
    prices.set_ylabel("price")
    returns.set_ylabel("return (bp)")
    prices.set_title(f"{scope}, {window.key}")
    figure.legend(loc="outside lower center", fontsize="small", ncols=4)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=70)
    image = base64.b64encode(buffer.getvalue()).decode()
    return {"price_and_forecasts": dg.MetadataValue.md(f"![price and forecasts](data:image/png;base64,{image})")}
