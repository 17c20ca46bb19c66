"""`coordinator verify`"""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import typer

from coordinator_dagster.cli import for_people
from coordinator_dagster.cli.console import console
from coordinator_dagster.cli.verify_parts import NotTried, api, database, feed, models, one_cycle
from coordinator_dagster.clock import SystemClock
from coordinator_dagster.competition import Competition, read_competition
from coordinator_dagster.errors import UserError, first_line
from coordinator_dagster.store.database import ServerAway
from coordinator_dagster.trial import Trial

COLUMN = 10  # characters of the longest name


@dataclass(frozen=True)
class Step:
    """Something that has to work: `look` returns what was found, or raises an error made for people, or NotTried.

    It is not tried where one that it `needs` was not, or failed.
    """

    name: str
    look: Callable[[], str]
    needs: Sequence[str] = ()


def verify(
    url: Annotated[
        str | None, typer.Option(help="the report API as it is deployed; without it, one of its own")
    ] = None,
    offline: Annotated[bool, typer.Option(help="do not ask the feed")] = False,
) -> None:
    """Check that this node works: database, feed, models, a cycle and its settling in a scratch schema, report API."""
    competition, began = read_competition(), time.monotonic()
    with ExitStack() as kept:
        steps = _steps(competition, kept, url, offline)
        failed = take(steps)
    if failed:
        raise UserError(f"{len(failed)} of {len(steps)} steps did not pass: {', '.join(failed)}")
    console.print(f"{competition.settings.competition} works ({time.monotonic() - began:.1f} s)")


def _steps(competition: Competition, kept: ExitStack, url: str | None, offline: bool) -> Sequence[Step]:
    trial = Trial(competition, SystemClock().now(), kept)
    asked = () if competition.settings.model_runner == "local" else ("models",)  # who is away is waited for
    return (
        Step("database", partial(database, competition)),
        Step("feed", partial(feed, competition, offline)),
        Step("models", partial(models, competition)),
        Step("one cycle", partial(one_cycle, competition, trial), needs=("database", *asked)),
        Step("one settle", trial.settle, needs=("one cycle",)),
        Step("API", partial(api, competition, url), needs=() if url else ("database",)),
    )


def take(steps: Sequence[Step]) -> list[str]:
    """Take each step that can be taken, and print how it went; the names of those that failed, or needed one."""
    failed, untried = list[str](), list[str]()
    errors: tuple[type[Exception], ...] = (*for_people(), *ServerAway)
    for step in steps:
        began = time.monotonic()
        if lacking := [name for name in step.needs if name in (*failed, *untried)]:
            (failed if set(lacking) & set(failed) else untried).append(step.name)
            _say("–", step.name, f"not tried, since it needs: {', '.join(lacking)}")
            continue
        try:
            _say("✓", step.name, step.look(), began)
        except NotTried as reason:
            untried.append(step.name)
            _say("–", step.name, f"not tried: {reason}")
        except errors as error:
            failed.append(step.name)
            _say("✗", step.name, _in_words(error), began)
    return failed


def _in_words(error: Exception) -> str:
    if isinstance(error, ServerAway):
        return f"the database went away: {first_line(error)}; start it, or mend DATABASE_URL"
    return str(error)


def _say(mark: str, name: str, said: str, began: float | None = None) -> None:
    first, *more = said.splitlines() or [""]
    took = "" if began is None else f" ({time.monotonic() - began:.1f} s)"
    color = {"✓": "green", "✗": "red"}.get(mark)
    console.print(f"{mark} {name:{COLUMN}}  {first}{took}", style=color, soft_wrap=True, markup=False)
    for line in more:
        console.print(f"  {'':{COLUMN}}  {line}", style=color if mark == "✗" else None, soft_wrap=True, markup=False)
