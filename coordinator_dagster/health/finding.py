"""What somebody should know, in plain words with its numbers, and what to do about it."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """`critical`: something is lost, or soon will be: not healthy. `warning`: to be looked at, nothing is lost yet.

    `what` names it always alike, for machines; numbers are in `why` alone.
    """

    what: str
    severity: Literal["critical", "warning"]
    why: str
    remedy: str


def span(seconds: float) -> str:
    """A span as people say it: 0.4 s, 12 s, 3 min, 2.5 h, 4 days."""
    for limit, unit, name in ((10, 1, "s"), (120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.{1 if limit in (10, 172_800) else 0}f} {name}"
    return f"{seconds / 86_400:.0f} days"


def many(count: int, word: str) -> str:
    """1 cycle, 2 cycles."""
    return f"{count} {word}{'' if count == 1 else 's'}"


def some(names: list[str], most: int = 3) -> str:
    """The first of them, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
