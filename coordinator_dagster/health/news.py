"""What of the findings is news: told once it has lasted two looks, so that what comes and goes is not told."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from pydantic import BaseModel

from coordinator_dagster.health.finding import Finding


class Seen(BaseModel):
    """From look to look. `told`: the severity and the words that each finding was told with, by what it is.

    `last`: the severity of each at the last look.
    """

    told: dict[str, tuple[str, str]] = {}
    last: dict[str, str] = {}


@dataclass
class News:
    """What has begun or become another, and the words of what is over."""

    begun: list[Finding] = field(default_factory=list)
    over: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.begun or self.over)


def news_of(seen: Seen, findings: Sequence[Finding]) -> tuple[News, Seen]:
    """The news of a look, and what to keep once they are told."""
    news, told = News(), dict(seen.told)
    now = {one.what: one.severity for one in findings}
    for one in findings:
        lasted = seen.last.get(one.what) == one.severity
        if lasted and told.get(one.what, ("",))[0] != one.severity:
            news.begun.append(one)
            told[one.what] = (one.severity, one.why)
    for what in [what for what in told if what not in now and what not in seen.last]:
        news.over.append(told.pop(what)[1])
    return news, Seen(told=told, last=dict(now))
