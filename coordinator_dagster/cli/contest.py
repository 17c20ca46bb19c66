"""`coordinator contest`"""

from typing import Annotated

import typer

from coordinator_dagster.cli.console import console
from coordinator_dagster.competition import read_competition
from coordinator_dagster.contest import contest_of
from coordinator_dagster.contest_files import differing, unpublished
from coordinator_dagster.dry_run import dry_run
from coordinator_dagster.errors import UserErrors


def contest(
    check: Annotated[bool, typer.Option("--check", help="write nothing; exit code 1 where something differs")] = False,
) -> None:
    """Publish the contest: write contest.json and the schemas into PUBLIC_REPO, and the report web app's columns."""
    competition = read_competition()
    if faults := dry_run(competition).faults:
        raise UserErrors([*faults, "nothing is published"])
    if check and (faults := unpublished(competition)):
        raise UserErrors(faults)
    for place, text in differing(competition).items():
        place.parent.mkdir(exist_ok=True)
        place.write_text(text)
        console.print(f"wrote {place}", soft_wrap=True)
    console.print(f"{competition.settings.public_repo} says what this node does", soft_wrap=True)
    for name in sorted(contest_of(competition).private):
        console.print(f"private, so left out of backtests: {competition.slot_paths[name]}", soft_wrap=True)
