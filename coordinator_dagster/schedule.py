"""What is due when: the configs, each over the instants it holds for, the pauses and the end."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from coordinator_dagster.orders import Orders
from coordinator_dagster.packs import PredictionConfig
from coordinator_dagster.windows import Window, instants
from slots.tape import EPOCH, boundary


@dataclass(frozen=True)
class Term:
    """A version of a config and the instants `start <= t < end` it holds for; `end` None: for ever."""

    config: PredictionConfig
    start: datetime
    end: datetime | None

    def holds(self, instant: datetime) -> bool:
        return self.start <= instant and (self.end is None or instant < self.end)

    def count(self, after: datetime, until: datetime) -> int:
        """How many of its instants are in `(after, until]`."""
        after = max(after, _just_before(self.start))
        until = min(until, _just_before(self.end)) if self.end else until
        return max(0, (until - EPOCH) // self.config.every - (after - EPOCH) // self.config.every)


@dataclass(frozen=True)
class Schedule:
    """The competition's cycles, past and future. Pauses are in it: their cycles are due, and MISSED."""

    terms: Sequence[Term]
    orders: Orders

    def due(self, window: Window) -> list[tuple[datetime, PredictionConfig]]:
        """The window's cycles by instant, then in the configs' order."""
        found = [
            (t, term.config) for term in self._in_order for t in instants(window, term.config.every) if term.holds(t)
        ]
        return sorted(found, key=lambda one: one[0])

    def standing(self, instant: datetime) -> list[PredictionConfig]:
        """The configs that hold at that instant, in their order."""
        return [term.config for term in self._in_order if term.holds(instant)]

    def next_instant(self, after: datetime) -> datetime | None:
        """The first instant after that moment at which something is due; None: nothing is any more."""
        found = []
        for term in self.terms:
            t = boundary(max(after, _just_before(term.start)), term.config.every) + term.config.every
            if term.holds(t):
                found.append(t)
        return min(found, default=None)

    def next_asked(self, after: datetime) -> datetime | None:
        """The first instant after that moment at which models are asked: one that is due and in no pause."""
        t = self.next_instant(after)
        while t and self.orders.pause(t):
            resumed = self.orders.resumed(t)
            t = self.next_instant(_just_before(resumed)) if resumed else None
        return t

    def due_at(self, t: datetime) -> list[PredictionConfig]:
        """The configs that are due at that instant, in their order."""
        return [one for one in self.standing(t) if boundary(t, one.every) == t]

    @cached_property
    def _in_order(self) -> list[Term]:
        return sorted(self.terms, key=lambda term: (term.config.order, term.config.id))

    def resolvable(self, window: Window) -> int:
        """How many cycles have their truth in `(start, end]`."""
        return sum(one.count(window.start - one.config.horizon, window.end - one.config.horizon) for one in self.terms)

    def count(self, window: Window) -> int:
        """How many cycles are due in the window, without listing them."""
        return sum(one.count(_just_before(window.start), _just_before(window.end)) for one in self.terms)

    def last_truth(self) -> datetime | None:
        """When the last cycle is resolvable; None: the competition is open."""
        ends = [(term.config, term.end) for term in self.terms]
        return max(last_truth([config], end) for config, end in ends if end) if all(end for _, end in ends) else None

    def configs(self) -> dict[str, PredictionConfig]:
        """Every version by its id."""
        return {term.config.id: term.config for term in self.terms}


def last_truth(configs: Iterable[PredictionConfig], end: datetime) -> datetime:
    """When the last cycle of a competition that ends then is resolvable."""
    return max(boundary(_just_before(end), config.every) + config.horizon for config in configs)


def _just_before(moment: datetime) -> datetime:
    return moment - timedelta(microseconds=1)
