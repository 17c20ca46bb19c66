"""`coordinator postgres`: the competition's database."""

import os
from typing import Annotated

import typer
from sqlalchemy import URL, make_url

from coordinator_dagster.cli.console import console
from coordinator_dagster.competition import read_competition
from coordinator_dagster.store.database import with_driver
from coordinator_dagster.store.embedded import psql_program, stop_embedded
from coordinator_dagster.store.store import database_url

postgres = typer.Typer(help="The competition's database.", no_args_is_help=True)


def _plain_url() -> URL:
    return make_url(with_driver(database_url(read_competition()))).set(drivername="postgresql")


@postgres.command()
def url(show_password: Annotated[bool, typer.Option(help="print it whole")] = False) -> None:
    """Print the database's URL, for psql and other tools; starts the embedded server if that is the one."""
    typer.echo(_plain_url().render_as_string(hide_password=not show_password))


@postgres.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def psql(context: typer.Context) -> None:
    """Open psql in the competition's schema; further arguments go to psql."""
    url, program = _plain_url(), psql_program()
    os.environ["PGOPTIONS"] = f"-csearch_path={read_competition().schema}"
    if url.password:
        os.environ["PGPASSWORD"] = url.password  # arguments are there for all to see
    shown = url._replace(password=None).render_as_string()
    os.execv(program, [str(program), *context.args, shown])  # noqa: S606


@postgres.command()
def stop() -> None:
    """Stop the embedded server of this folder; what it holds stays."""
    stopped = stop_embedded(read_competition().home)
    console.print("stopped" if stopped else "no embedded server runs here")
