"""What participants type: `backtest` a model on a tape, download the contest's own `tape`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from coordinator_dagster.backtest.of_contest import SIMULATED, backtest_contest
from coordinator_dagster.cli import show_to_people
from coordinator_dagster.cli.console import byte_bar, console
from coordinator_dagster.cli.moments import parse_moment
from coordinator_dagster.contest import read_contest
from coordinator_dagster.errors import UserError
from coordinator_dagster.feeds.download import download


def run(contest: Path) -> None:
    """The command line of the contest in that file; errors made for people are shown as text, with exit code 1."""
    app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)

    @app.command("backtest")
    def _backtest(
        models: Annotated[list[Path], typer.Argument(help="a model's folder, or a folder of models")],
        tape: Annotated[str, typer.Option(help=f"a folder of market data, or `{SIMULATED}`")] = "tape",
        start: Annotated[str | None, typer.Option("--from", help="first hour, UTC; default the tape's")] = None,
        end: Annotated[str | None, typer.Option("--to", help="end of the last hour; default the tape's")] = None,
        plot: Annotated[Path | None, typer.Option(help="write a picture there, such as scores.png")] = None,
        csv: Annotated[Path | None, typer.Option(help="write every forecast there, as CSV")] = None,
    ) -> None:
        """Replay a tape through models with the engine that runs the contest; print the scores and the board."""
        found = backtest_contest(contest, models, tape, start, end, progress=True)
        console.print(found.summary(), soft_wrap=True, markup=False)
        if plot:
            found.plot(plot)
            console.print(f"wrote {plot}")
        if csv:
            as_json = {name: found.forecasts[name].map(json.dumps) for name in ("output", "truth")}
            found.forecasts.assign(**as_json).to_csv(csv, index=False)
            console.print(f"wrote {csv}")

    @app.command("tape")
    def _tape(
        start: Annotated[str, typer.Option("--from", help="first day, UTC, such as 2026-01-05")],
        end: Annotated[str, typer.Option("--to", help="last day")],
        url: Annotated[str | None, typer.Option(help="the node's report API; default the contest's")] = None,
        into: Annotated[Path, typer.Option(help="the folder")] = Path("tape"),
    ) -> None:
        """Download days of the contest's own recording."""
        address = url or read_contest(contest).report_url
        if address is None:
            raise UserError("--url is not given, and the contest names none; give the address of its report API")
        first, last = parse_moment("--from", start).date(), parse_moment("--to", end).date()
        with byte_bar(str(into)) as told:
            report = download(address, into, first, last, told)
        said = f"{report.fetched} files downloaded, {report.bytes:,} bytes; {report.kept} there already"
        console.print(f"{into}: {said}", soft_wrap=True)

    with show_to_people():
        app()
