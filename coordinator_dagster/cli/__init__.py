"""The `coordinator` command: each command is the module, here, of its name."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

COMMANDS = (
    *("doctor", "validate", "verify", "replay", "status", "leaderboard", "audit", "explain", "packs", "models"),
    *("order", "feed", "backfill", "tape", "expire", "slots", "postgres", "contest", "report", "metrics", "keys"),
    *("backup", "restore", "demo", "dev", "live", "worker"),
)


class OnDemand(TyperGroup):
    """Imports a command when it is asked for: one may need what takes a second to import, and the next one not."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = dict.fromkeys(COMMANDS)  # type: ignore[assignment]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        command = getattr(import_module(f"{__name__}.{cmd_name}"), cmd_name)
        if not isinstance(command, typer.Typer):
            single = typer.Typer(add_completion=False)
            single.command()(command)
            command = single
        found = typer.main.get_command(command)
        found.name = cmd_name
        return found


app = typer.Typer(cls=OnDemand, no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def coordinator() -> None:
    """Run a forecasting competition: predict, resolve, score, rank."""


def main() -> None:
    """Run a command."""
    with show_to_people():
        app()


@contextmanager
def show_to_people() -> Iterator[None]:
    """Errors made for people are shown as text, with exit code 1."""
    try:
        yield
    except Exception as error:
        if not isinstance(error, for_people()):
            raise
        typer.secho(f"error: {error}", err=True, fg="red")
        sys.exit(1)


def for_people() -> tuple[type[Exception], ...]:
    """The errors whose text is all that is shown of them."""
    from coordinator_dagster.errors import UserError
    from coordinator_dagster.feeds.base import FeedError
    from coordinator_dagster.stages.facts import StageFailed
    from slots.loader import SlotErrors, SlotFailure

    return (UserError, FeedError, StageFailed, SlotErrors, SlotFailure)
