"""`coordinator keys …`: who may read what is not public."""

from contextlib import closing
from datetime import datetime
from typing import Annotated

import typer

from coordinator_dagster.cli.console import print_rows
from coordinator_dagster.competition import read_competition
from coordinator_dagster.errors import UserError
from coordinator_dagster.faults import nearest
from coordinator_dagster.keys import digest, key_of, new_secret
from coordinator_dagster.runners.submission import checked_about, plain
from coordinator_dagster.store.store import Store, open_as_it_stands

ROLES = ("operator", "participant")
keys = typer.Typer(help="Keys of the report API: create, list, revoke.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="what the key is called; no two are called alike, ever", metavar="NAME")]


@keys.command()
def create(
    name: Name,
    role: Annotated[str, typer.Option(help="operator, who may read everything, or participant")],
    player: Annotated[str | None, typer.Option(help="a participant's player id", metavar="PLAYER_ID")] = None,
) -> None:
    """Make a key and print it, this once: only a hash of it is kept."""
    _refuse_misfits(name, role, player)
    secret = new_secret()
    with closing(_open()) as store:
        id_ = store.keys.add(name, role, player, digest(secret))
        if id_ is None:
            raise UserError(f"NAME={name}: there is, or was, a key of that name; choose another")
        players = store.roster.players() if player else []
    if player and player not in players:
        typer.secho(
            f"warning: --player={player}: no model of that player has been asked yet{nearest(player, players)}; the "
            "key shows those that will be",
            err=True,
            fg="yellow",
        )
    typer.echo(f"the key {name}, shown this once; it goes into the header `Authorization: Bearer KEY`:", err=True)
    typer.echo(key_of(id_, secret))


@keys.command()
def revoke(name: Name) -> None:
    """Make a key worthless, at once and for ever."""
    with closing(_open()) as store:
        known = [one.name for one in store.keys.every()]
        if name not in known:
            raise UserError(f"NAME={plain(name)}: there is no such key{nearest(name, known)}; see `keys list`")
        store.keys.revoke(name)
    typer.echo(f"revoked {name}")


@keys.command("list")
def list_() -> None:
    """The keys there are and were; none of them can be shown again."""
    with closing(_open()) as store:
        found = store.keys.every()
    rows = [[one.name, one.role, one.player_id or "", _at(one.created_at), _at(one.revoked_at)] for one in found]
    print_rows(["key", "role", "player", "created", "revoked"], rows)


def _refuse_misfits(name: str, role: str, player: str | None) -> None:
    checked_about({"name": name, "player_id": player})
    if role not in ROLES:
        raise UserError(f"--role={plain(role)}: there is no such role{nearest(role, ROLES)}; use {' or '.join(ROLES)}")
    if role == "participant" and player is None:
        raise UserError(
            "--player: a participant's key is of one player; add --player PLAYER_ID, as `models list` has it"
        )
    if role == "operator" and player is not None:
        raise UserError(f"--player={player}: an operator's key is of no player; leave it out, or --role participant")


def _open() -> Store:
    return open_as_it_stands(read_competition())


def _at(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else ""
