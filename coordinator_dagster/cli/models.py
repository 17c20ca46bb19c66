"""`coordinator models …`: take in submissions, try them, take them away."""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import tomlkit
import typer

from coordinator_dagster.cli.console import console, print_rows
from coordinator_dagster.competition import Competition, read_competition
from coordinator_dagster.errors import UserError, UserErrors
from coordinator_dagster.faults import nearest
from coordinator_dagster.rehearsal import INSTANTS, rehearse
from coordinator_dagster.runners.base import ModelInfo
from coordinator_dagster.runners.folders import discover
from coordinator_dagster.runners.logs import last_lines
from coordinator_dagster.runners.placing import alone, place, staged, take_away
from coordinator_dagster.runners.submission import (
    SLUG,
    SLUG_RULE,
    TOML,
    about_of,
    checked_about,
    plain,
    read_submission,
    walk,
)

models = typer.Typer(help="Submissions of the participants: add, check, remove, list, log.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(help="the model's id", metavar="ID")]


@models.command()
def check(
    path_or_id: Annotated[str, typer.Argument(help="a submission's folder, or a model's id", metavar="PATH_OR_ID")],
) -> None:
    """Start a submission as the contest would, and have it answer some sample instants. Neither database nor feed."""
    competition = read_competition()
    folder = _folder_of(competition, path_or_id)
    id_ = folder.resolve().name if SLUG.fullmatch(folder.resolve().name) else "submission"
    with _for_people(), tempfile.TemporaryDirectory(prefix="coordinator-check-") as place_:
        Path(place_).chmod(0o755)  # a confined process is another user
        with staged(folder, id_, Path(place_)) as copy:
            _try(competition, copy, read_submission(copy, walk(copy), folder), folder)


@models.command()
def add(
    folder: Annotated[Path, typer.Argument(help="the submission's folder", metavar="FOLDER")],
    name: Annotated[str | None, typer.Option(help="the model's id; default the folder's name", metavar="ID")] = None,
    player_id: Annotated[str | None, typer.Option(help="whose it is; stronger than its model.toml")] = None,
    player_name: Annotated[str | None, typer.Option(help="how the player is called")] = None,
    check: Annotated[bool, typer.Option("--check/--no-check", help="let it answer sample instants first")] = True,
    force: Annotated[bool, typer.Option(help="though the model belongs to another player")] = False,
) -> None:
    """Take in a new model, or a new deployment of one. A live competition asks it from its next cycle on."""
    competition = read_competition()
    models_dir, id_ = _models_dir(competition), folder.resolve().name if name is None else name
    if not SLUG.fullmatch(id_):
        raise UserError(f"{plain(id_)}: {SLUG_RULE}; choose one by --name")
    told = checked_about({"player_id": player_id, "player_name": player_name})
    with _for_people():
        models_dir.mkdir(parents=True, exist_ok=True)
        with alone(models_dir, _say_waiting), staged(folder, id_, models_dir) as copy:
            before = _whose(models_dir, id_, force)
            sign(copy, told, before)
            info = read_submission(copy, walk(copy), folder)
            if before and before.player_id != info.player_id and not force:
                raise UserError(
                    f"{id_} belongs to the player {before.player_id}, and this is of {info.player_id}; choose another "
                    "--name, mend --player-id, or hand it over with all its history by --force"
                )
            if check:
                _try(competition, copy, info, folder)
            if info != before:
                place(copy, models_dir)
    _say_added(competition, info, before)


@models.command()
def remove(id_: Id) -> None:
    """Take a model away. Its history stays, and it owes answers until it has left by an order."""
    models_dir = _models_dir(read_competition())
    if not SLUG.fullmatch(id_) or not (models_dir / id_).is_dir():
        raise _unknown(models_dir, id_)
    with _for_people(), alone(models_dir, _say_waiting):
        take_away(id_, models_dir)
    console.print(
        f"removed {id_}; its history stays. From the next cycle on it is ABSENT and charged; if it has left for good:\n"
        f'coordinator order leave {id_} --reason "withdrawn by its player"',
        soft_wrap=True,
        markup=False,
    )


@models.command()
def log(id_: Id, lines: Annotated[int, typer.Option(min=1, help="how many of the last ones")] = 50) -> None:
    """The last of what a model printed, its tracebacks among it: for its player, too."""
    competition = read_competition()
    printed = last_lines(competition.model_logs, id_, _models_dir(competition) / id_, lines)
    if not printed:
        raise UserError(f"{plain(id_)}: nothing it printed is kept in {competition.model_logs}; see `models list`")
    typer.echo("\n".join(printed))


@models.command("list")
def list_(as_json: Annotated[bool, typer.Option("--json", help="one JSON document")] = False) -> None:
    """The models there are, and what is wrong with other folders."""
    models_dir = _models_dir(read_competition())
    found, faults = discover(models_dir)
    if as_json:
        shown = [vars(info) | {"folder": str(folder)} for info, folder in found.values()]
        typer.echo(json.dumps({"models_dir": str(models_dir), "models": shown, "faults": faults}, indent=2))
        return
    rows = [[one.id, one.name, f"{one.player_name} ({one.player_id})", one.deployment] for one, _ in found.values()]
    print_rows(["model", "name", "player", "deployment"], rows)
    for fault in faults:
        typer.secho(f"warning: {fault}", err=True, fg="yellow")


def _models_dir(competition: Competition) -> Path:
    return competition.home / competition.settings.models_dir


def _folder_of(competition: Competition, path_or_id: str) -> Path:
    """A model's folder where that is one's id, else the path."""
    installed = _models_dir(competition) / path_or_id
    if SLUG.fullmatch(path_or_id) and installed.is_dir():
        return installed
    if not Path(path_or_id).is_dir():
        raise _unknown(_models_dir(competition), path_or_id)
    return Path(path_or_id)


def _unknown(models_dir: Path, id_: str) -> UserError:
    known = [path.name for path in models_dir.iterdir() if SLUG.fullmatch(path.name)] if models_dir.is_dir() else []
    near = nearest(id_, known)
    return UserError(f"{plain(id_)}: there is no such model in {models_dir}{near}; see `coordinator models list`")


def _whose(models_dir: Path, id_: str, force: bool) -> ModelInfo | None:
    """The model that is there by that id; None where there is none. UserError when it cannot be told."""
    if not os.path.lexists(models_dir / id_):
        return None
    try:
        return read_submission(models_dir / id_, walk(models_dir / id_))
    except UserErrors as told:
        if force:
            return None
        raise UserErrors(
            [*told.faults, f"so whose {id_} is cannot be told; mend it, remove it, or use --force"]
        ) from None


def sign(copy: Path, told: dict[str, str], before: ModelInfo | None) -> None:
    """Write into the copy whose it is: as told, else as it says itself, else as it was."""
    says, file = about_of(copy) | told, copy / TOML
    if before and "player_id" not in says and before.player_id != before.id:
        told = {"player_id": before.player_id} | told
    same = before and (says | told).get("player_id", copy.name) == before.player_id
    if before and same and "player_name" not in says and before.player_name != before.player_id:
        told = told | {"player_name": before.player_name}
    if told:
        content = tomlkit.parse(file.read_text("utf-8")) if file.exists() else tomlkit.document()
        content.update(told)
        file.write_text(tomlkit.dumps(content), "utf-8")
        file.chmod(0o644)


def _try(competition: Competition, copy: Path, info: ModelInfo, shown: Path) -> None:
    """Let it answer, and say how that went; UserErrors with what went wrong."""
    found = rehearse(competition, copy, info)
    for warning in found.warnings:
        typer.secho(f"warning: {warning}", err=True, fg="yellow")
    if found.faults:
        raise UserErrors([f"{plain(shown)}: {found.faults[0]}", *found.faults[1:]])
    console.print(
        f"ok  {info.id}, deployment {info.deployment}: {INSTANTS} instants answered, the slowest in "
        f"{found.slowest:.3f} s of {found.allowed:g} s allowed",
        soft_wrap=True,
        markup=False,
    )


def _say_added(competition: Competition, info: ModelInfo, before: ModelInfo | None) -> None:
    when = "cycle" if competition.settings.mode == "live" else "window"
    if info == before:
        text = f"{info.id} is what it was, deployment {info.deployment}; nothing was changed"
    elif before:
        text = f"updated {info.id}: deployment {info.deployment}, before {before.deployment}; from the next {when} on"
    else:
        text = f"added {info.id}, deployment {info.deployment}; it takes part from the next {when} on"
    console.print(f"{text} (player {info.player_name}, {info.player_id})", soft_wrap=True, markup=False)


def _say_waiting() -> None:
    typer.echo("waiting for another `coordinator models` command", err=True)


@contextmanager
def _for_people() -> Iterator[None]:
    """What the file system refuses, without a traceback."""
    try:
        yield
    except OSError as fault:
        raise UserError(f"{plain(fault.filename or 'a file')}: {fault.strerror or plain(fault)}; mend that") from None
