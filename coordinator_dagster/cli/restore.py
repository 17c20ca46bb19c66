"""`coordinator restore`"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated

import typer

from coordinator_dagster.backups.restore import Plan, plan
from coordinator_dagster.backups.restore import restore as bring_back
from coordinator_dagster.cli.console import console
from coordinator_dagster.competition import Competition, read_competition
from coordinator_dagster.errors import UserError, UserErrors
from coordinator_dagster.store.dagster_runs import statuses


def restore(
    file: Annotated[Path, typer.Argument(help="a file that `coordinator backup` wrote")],
    yes: Annotated[bool, typer.Option("--yes", help="do it; without, only what would be lost is said")] = False,
) -> None:
    """Replace the competition's tables by a backup's; it may be live meanwhile, and goes on by itself."""
    competition = read_competition()
    planned = plan(competition, file)
    _print_plan(competition, planned)
    if not yes:
        raise UserError("nothing was changed; give --yes to restore it")
    restored = bring_back(competition, planned.dump, _known_to_dagster, lambda text: console.print(text))
    console.print(f"{competition.settings.competition} is restored to {planned.dump.taken_at:%Y-%m-%d %H:%M:%S} UTC")
    if restored.missed:
        console.print(
            f"{restored.missed} cycles up to {restored.until:%Y-%m-%d %H:%M:%S} UTC are MISSED, charged to nobody: "
            "they were due since the backup",
            soft_wrap=True,
        )
    if restored.refusals:  # it is restored, and nothing is performed before that is mended
        raise UserErrors(restored.refusals)


def _known_to_dagster(runs: Iterable[str]) -> Mapping[str, str]:
    from coordinator_dagster.dagster_storage import dagster_url  # a second to import, where no run was at work

    return statuses(dagster_url(), runs)


def _print_plan(competition: Competition, planned: Plan) -> None:
    dump, loss = planned.dump, planned.loss
    through = f", cycles through {dump.cycles_through:%Y-%m-%d %H:%M:%S} UTC" if dump.cycles_through else ""
    console.print(
        f"{dump.file}: {competition.settings.competition} ({dump.mode}), taken at {dump.taken_at:%Y-%m-%d %H:%M:%S} "
        f"UTC by {dump.release}{through}; revision {dump.revision}, {len(dump.tables)} tables",
        soft_wrap=True,
    )
    if planned.there is None:
        console.print(f"the schema {competition.schema} has no tables yet: nothing is lost")
    elif loss is None:
        console.print(f"what is lost is not known: the tables there are of another release's revision {planned.there}")
    else:
        console.print(
            f"lost since then: {loss.cycles} performed cycles, {loss.orders} orders, {loss.models} models that joined, "
            f"{loss.keys} keys",
            soft_wrap=True,
        )
        if loss.frozen:
            days = ", ".join(f"{day:%Y-%m-%d %H:%M}" for day in loss.frozen)
            console.print(
                f"frozen since then: the emission of the days that ended at {days} UTC; they are frozen anew from what "
                "is brought back, and may come out otherwise. Keep what was paid by: `emission_checkpoints`",
                soft_wrap=True,
            )
