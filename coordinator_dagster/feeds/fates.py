"""What becomes of records that are not simply new, and how often each was met."""

from dataclasses import dataclass
from threading import Lock
from typing import Literal

from slots.market import NoPrice, Series

Fate = Literal[
    "duplicate",  # the same again: passed over
    "restated",  # other values for a key that is known: the first stays, this one goes to market_restatements
    "late",  # over before the moment through which the series was complete: enters, known from now on
    "disordered",  # came after a later one: put in its place
    "future",  # of a time that has not come: refused
    "non_finite",  # a value that is no finite number: refused, and the venue is asked again
    "not_positive",  # a price of zero or less: refused, and the venue is asked again
]


@dataclass
class Met:
    """How many records of a series had a fate, and the last of them, for people."""

    series: Series
    fate: Fate
    count: int
    detail: str


class Fates:
    """What a feed has met since it was last taken. Feeds note it in several threads."""

    def __init__(self) -> None:
        self._lock, self._met = Lock(), dict[tuple[Series, Fate], Met]()

    def note(self, series: Series, fate: Fate, detail: object, count: int = 1) -> None:
        if count:
            with self._lock:
                met = self._met.setdefault((series, fate), Met(series, fate, 0, ""))
                met.count, met.detail = met.count + count, str(detail)

    def refuse(self, error: NoPrice) -> None:
        """A value that is no price was refused."""
        self.note(error.series, "not_positive" if error.finite else "non_finite", error)

    def take(self) -> list[Met]:
        with self._lock:
            met, self._met = list(self._met.values()), {}
        return met
