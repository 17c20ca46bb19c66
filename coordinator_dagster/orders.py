"""What the operator has ordered, and what follows from it: pure functions of the rows of `operator_orders`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from slots.market import MarketRecord, Series
from slots.tape import TapeSource

OrderKind = Literal[
    "end", "pause", "resume", "disqualify", "reinstate", "leave", "void", "revise", "correct", "configs"
]
OUT = {"disqualify": "disqualified", "leave": "LEFT"}


@dataclass(frozen=True, slots=True)
class Order:
    """One order. `effective_at` is the instant it holds from; `until` the last one, where it has a range."""

    id: int
    kind: OrderKind
    effective_at: datetime
    until: datetime | None
    model_id: str | None
    config_id: str | None
    reason: str
    given_by: str
    given_at: datetime
    detail: dict[str, Any]


@dataclass(frozen=True)
class Orders:
    """All orders, oldest first by `effective_at`, then by number."""

    every: Sequence[Order] = field(default_factory=list)

    def end(self) -> Order | None:
        """The order that ended the competition."""
        return next((one for one in self.every if one.kind == "end"), None)

    def pause(self, instant: datetime) -> Order | None:
        """The pause that the instant falls in."""
        return self._standing(("pause", "resume"), "pause", instant)

    def resumed(self, instant: datetime) -> datetime | None:
        """From when on, after that instant, the next resume holds; None: none has been ordered."""
        return next(
            (one.effective_at for one in self.every if one.kind == "resume" and one.effective_at > instant), None
        )

    def out(self, model_id: str, instant: datetime) -> str | None:
        """Why the model takes no part at that instant; None: it does."""
        own = [one for one in self.every if one.model_id == model_id]
        order = own and Orders(own)._standing(("disqualify", "reinstate", "leave"), None, instant)
        return f"{OUT[order.kind]}: {order.reason}" if order and order.kind in OUT else None

    def without(self, model_ids: Iterable[str], instant: datetime) -> set[str]:
        """Those of the models that take no part at that instant."""
        return {model_id for model_id in model_ids if self.out(model_id, instant)}

    def truth_order(self, config_id: str, instant: datetime) -> Order | None:
        """The newest order that says how the cycle's truth is found: `void` or `revise`."""
        own = [
            one
            for one in self.every
            if one.kind in ("void", "revise")
            and one.config_id in (None, config_id)
            and one.effective_at <= instant <= (one.until or one.effective_at)
        ]
        return max(own, key=lambda one: one.id, default=None)

    def corrected(self, source: TapeSource, by: datetime | None = None) -> TapeSource:
        """The tape with the corrections given by then (None: all)."""
        corrections = self._corrections(by)
        return CorrectedSource(source, corrections) if corrections else source

    def _corrections(self, by: datetime | None) -> dict[tuple[str, datetime], dict[str, float]]:
        """Values by series and `ts_event`; the newest order counts."""
        known = sorted(
            (one for one in self.every if one.kind == "correct" and (by is None or one.given_at <= by)),
            key=lambda one: one.id,
        )
        return {(one.detail["series"], one.effective_at): one.detail["values"] for one in known}

    def _standing(self, kinds: tuple[str, ...], wanted: str | None, instant: datetime) -> Order | None:
        last = [one for one in self.every if one.kind in kinds and one.effective_at <= instant][-1:]
        return last[0] if last and wanted in (None, last[0].kind) else None


@dataclass(frozen=True)
class CorrectedSource:
    """A tape with the values that the operator put right."""

    source: TapeSource
    corrections: dict[tuple[str, datetime], dict[str, float]]

    def upto(self, series: Series, end: datetime, count: int) -> Sequence[MarketRecord]:
        return [self._correct(one) for one in self.source.upto(series, end, count)]

    def between(self, series: Series, start: datetime, end: datetime) -> Sequence[MarketRecord]:
        return [self._correct(one) for one in self.source.between(series, start, end)]

    def _correct(self, record: MarketRecord) -> MarketRecord:
        values = self.corrections.get((str(record.series), record.ts_event))
        return record if values is None else replace(record, values=values)
