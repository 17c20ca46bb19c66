"""The `coordinator` command."""

import sys

import typer

from coordinator_dagster.cli.audit import audit
from coordinator_dagster.cli.backfill import backfill
from coordinator_dagster.cli.demo import demo
from coordinator_dagster.cli.dev import dev
from coordinator_dagster.cli.doctor import doctor
from coordinator_dagster.cli.expire import expire
from coordinator_dagster.cli.explain import explain
from coordinator_dagster.cli.feed import feed
from coordinator_dagster.cli.leaderboard import leaderboard
from coordinator_dagster.cli.live import live
from coordinator_dagster.cli.order import order
from coordinator_dagster.cli.packs import packs
from coordinator_dagster.cli.postgres import postgres
from coordinator_dagster.cli.replay import replay
from coordinator_dagster.cli.tape import tape
from coordinator_dagster.cli.validate import validate
from coordinator_dagster.errors import UserError
from coordinator_dagster.feeds.base import FeedError
from coordinator_dagster.stages.facts import StageFailed
from slots.loader import SlotErrors, SlotFailure

app = typer.Typer(
    help="Run a forecasting competition: predict, resolve, score, rank.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for command in (
    *(doctor, validate, replay, leaderboard, audit, explain, packs),
    *(feed, backfill, tape, expire, demo, dev, live),
):
    app.command()(command)
app.add_typer(order, name="order")
app.add_typer(postgres, name="postgres")


def main() -> None:
    """Run a command; errors made for people are shown as text, with exit code 1."""
    try:
        app()
    except (UserError, FeedError, StageFailed, SlotErrors, SlotFailure) as error:
        typer.secho(f"error: {error}", err=True, fg="red")
        sys.exit(1)
