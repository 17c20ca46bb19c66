"""`coordinator backup`"""

from pathlib import Path
from typing import Annotated

import typer

from coordinator_dagster.backups.backup import back_up
from coordinator_dagster.cli.console import console
from coordinator_dagster.competition import read_competition


def backup(
    file: Annotated[Path, typer.Argument(help="where to, such as btc.dump")],
    force: Annotated[bool, typer.Option("--force", help="replace a file that is there already")] = False,
) -> None:
    """Save the competition's tables, as they are at this moment, into one file; it may be live meanwhile."""
    competition = read_competition()
    name = competition.settings.competition
    with console.status(f"{name}: saving") as status:
        done = back_up(competition, file, force, lambda size: status.update(f"{name}: {size / 1e6:.1f} MB"))
    dump = done.dump
    through = f", cycles through {dump.cycles_through:%Y-%m-%d %H:%M:%S} UTC" if dump.cycles_through else ""
    console.print(
        f"{file}: {name} ({dump.mode}) at {dump.taken_at:%Y-%m-%d %H:%M:%S} UTC{through}; {len(dump.tables)} tables at "
        f"revision {dump.revision}, {done.size / 1e6:.1f} MB in {done.seconds:.1f} s, read back and found whole",
        soft_wrap=True,
    )
