"""`coordinator order …`: the operator's levers. Each order is kept with its reason."""

import getpass
import json
from dataclasses import replace
from typing import Annotated

import typer

from coordinator_dagster.cli.console import console, print_rows
from coordinator_dagster.cli.moments import parse_moment
from coordinator_dagster.competition import read_competition
from coordinator_dagster.errors import UserError
from coordinator_dagster.levers.carry_out import carry_out
from coordinator_dagster.levers.request import Request
from coordinator_dagster.runtime import open_runtime
from coordinator_dagster.store.store import open_store

order = typer.Typer(
    help="Give an order: end, pause, void, correct, … Each is kept with its reason.", no_args_is_help=True
)

Reason = Annotated[str, typer.Option(help="why; kept with the order and shown to participants")]
At = Annotated[str | None, typer.Option(help="the instant it holds from, UTC; default now")]
Instant = Annotated[str, typer.Option(help="the instant, UTC, such as 2023-03-24T12:00Z")]
Until = Annotated[str | None, typer.Option(help="the last instant, for a range")]
By = Annotated[str | None, typer.Option(help="who gives it; default the user of this machine")]
Model = Annotated[str, typer.Argument(help="the model's id")]
Config = Annotated[str | None, typer.Option(help="a prediction config's id; default all")]


def _give(request: Request, by: str | None, at: str | None, until: str | None = None) -> None:
    request = replace(
        request,
        by=by or getpass.getuser(),
        at=parse_moment("--at", at) if at else None,
        until=parse_moment("--until", until) if until else None,
    )
    with open_runtime(read_competition(), as_it_stands=request.kind == "configs") as runtime:
        outcome = carry_out(runtime, request)
    for line in [f"order {outcome.order}: {request.kind}, {request.reason}", *outcome.done]:
        console.print(line, soft_wrap=True)


@order.command()
def end(reason: Reason, at: At = None, by: By = None) -> None:
    """End the competition: no cycle from then on, what is open is closed, the last board is final."""
    _give(Request("end", reason, ""), by, at)


@order.command()
def pause(reason: Reason, at: At = None, by: By = None) -> None:
    """Pause: cycles from then on are MISSED, charged to nobody, until `resume`."""
    _give(Request("pause", reason, ""), by, at)


@order.command()
def resume(reason: Reason, at: At = None, by: By = None) -> None:
    """End a pause."""
    _give(Request("resume", reason, ""), by, at)


@order.command()
def disqualify(model: Model, reason: Reason, at: At = None, by: By = None) -> None:
    """Disqualify a model: asked no more, and unranked on every board from then on."""
    _give(Request("disqualify", reason, "", model=model), by, at)


@order.command()
def leave(model: Model, reason: Reason, at: At = None, by: By = None) -> None:
    """Note that a model has left for good: it owes no answers from then on."""
    _give(Request("leave", reason, "", model=model), by, at)


@order.command()
def reinstate(model: Model, reason: Reason, at: At = None, by: By = None) -> None:
    """Let a model take part again."""
    _give(Request("reinstate", reason, "", model=model), by, at)


@order.command()
def void(at: Instant, reason: Reason, config: Config = None, until: Until = None, by: By = None) -> None:
    """Make cycles VOID for everyone, and renew the boards that counted them."""
    _give(Request("void", reason, "", config=config), by, at, until)


@order.command()
def revise(at: Instant, reason: Reason, config: Config = None, until: Until = None, by: By = None) -> None:
    """Find the truth of cycles anew, from the tape as it is now; late data count then, and a `void` is lifted."""
    _give(Request("revise", reason, "", config=config), by, at, until)


@order.command()
def correct(
    series: Annotated[str, typer.Argument(help="provider/asset/kind/granularity, such as binance/BTC/candle/1m")],
    at: Annotated[str, typer.Option(help="the record's ts_event: a candle's open time, a tick's trade time")],
    reason: Reason,
    values: Annotated[str | None, typer.Option(help="JSON of all values; default what the venue restated")] = None,
    by: By = None,
) -> None:
    """Correct a bad print on the tape: truths that rest on it are found anew. Inputs stay what models were given."""
    try:
        given = json.loads(values) if values else None
    except ValueError as error:
        raise UserError(f"--values={values}: not JSON: {error}; write it like '{{\"price\": 27250.97}}'") from None
    if given is not None and not isinstance(given, dict):
        raise UserError(f"--values={values}: must be a JSON object, such as '{{\"price\": 27250.97}}'")
    _give(Request("correct", reason, "", series=series, values=given), by, at)


@order.command()
def configs(at: Instant, reason: Reason, by: By = None) -> None:
    """Make the pack's changed prediction configs stand from an instant on, as new versions; history stays."""
    _give(Request("configs", reason, ""), by, at)


@order.command("list")
def list_() -> None:
    """Every order so far, oldest first, and the models that are out."""
    store = open_store(read_competition())
    orders = sorted(store.orders.read().every, key=lambda one: one.id)
    rows = [
        [
            str(one.id),
            one.kind,
            f"{one.effective_at:%Y-%m-%d %H:%M:%S}" + (f" … {one.until:%H:%M:%S}" if one.until else ""),
            one.model_id or one.config_id or one.detail.get("series", ""),
            one.reason,
            f"{one.given_by}, {one.given_at:%Y-%m-%d %H:%M}",
        ]
        for one in orders
    ]
    print_rows(["order", "kind", "from", "of", "reason", "given by"], rows)
    store.close()
