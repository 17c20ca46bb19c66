"""What the models were given and what they answered, in memory."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson

from coordinator_dagster.backtest.tables import KeptCycle, KeptForecast, Tables, frozen
from coordinator_dagster.runners.base import ModelInfo
from coordinator_dagster.stages.facts import Cycle, Forecast, StoredInput
from coordinator_dagster.stages.suspension import Said
from coordinator_dagster.windows import Window


class MemoryInputs:
    """Inputs by instant; they are large, so those that nobody will ask for are forgotten."""

    def __init__(self) -> None:
        self._inputs: dict[datetime, StoredInput] = {}

    def of(self, window: Window) -> dict[datetime, StoredInput]:
        """The window's inputs by instant, in order."""
        return {t: self._inputs[t] for t in sorted(self.instants(window))}

    def instants(self, window: Window) -> set[datetime]:
        """The instants of the window that have their input."""
        return {t for t in self._inputs if window.start <= t < window.end}

    def add(self, inputs: Sequence[StoredInput]) -> None:
        self._inputs |= {one.performed_at: one for one in inputs}

    def cut_offs(self, window: Window) -> dict[datetime, datetime]:
        """None was taken over from a live competition."""
        return {}

    def read(self, performed_at: datetime) -> dict[str, Any]:
        """One instant's input; empty when there is none."""
        found = self._inputs.get(performed_at)
        return orjson.loads(found.payload) if found else {}

    def forget(self, before: datetime) -> None:
        """Those of earlier instants will not be read."""
        self._inputs = {t: one for t, one in self._inputs.items() if t >= before}


class MemoryCycles:
    """Cycles and forecasts."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def sync_models(self, models: Sequence[ModelInfo]) -> None:
        """Make the models known."""
        self._tables.models |= {one.id: one for one in models}

    def joined(self) -> dict[str, datetime]:
        """Since when each model owes an answer, by model id."""
        return dict(self._tables.joined)

    def ended(self, window: Window) -> set[tuple[str, datetime]]:
        """The (config, instant) of the window's cycles that were performed."""
        return {(one.cycle.config_id, one.cycle.performed_at) for one in self._tables.by_start.get(window.start, [])}

    def said(self, window: Window) -> dict[datetime, list[Said]]:
        """What the rule of suspension looks at, of the window's forecasts: by instant, in order."""
        found: dict[datetime, list[Said]] = {}
        for kept in sorted(self._tables.by_start.get(window.start, []), key=lambda one: one.key):
            said = [Said(one.model_id, one.status, one.reason, one.deployment) for one in kept.forecasts]
            found.setdefault(kept.cycle.performed_at, []).extend(said)
        return {t: own for t, own in found.items() if own}

    def add(self, window: Window, cycles: Sequence[Cycle], forecasts: Sequence[Forecast]) -> None:
        """Keep the performed cycles of a window with their forecasts; what is planned comes later."""
        own: dict[tuple[str, datetime], list[Forecast]] = {}
        for one in forecasts:
            own.setdefault((one.cycle.config_id, one.cycle.performed_at), []).append(one)
        for cycle in cycles:
            if cycle.status == "PERFORMED":
                found = own.get((cycle.config_id, cycle.performed_at), [])
                answers = sorted(found, key=lambda one: one.model_id)
                self._tables.add(window, KeptCycle(cycle, frozen(cycle.scope), [_kept(one) for one in answers]))
                for one in answers:
                    first = self._tables.joined.get(one.model_id, cycle.performed_at)
                    self._tables.joined[one.model_id] = min(first, cycle.performed_at)


def _kept(one: Forecast) -> KeptForecast:
    reason = one.meta.get("reason", "")
    return KeptForecast(one.model_id, one.status, reason, one.deployment, frozen(one.output), one.exec_time_ms)
