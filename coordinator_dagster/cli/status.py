"""`coordinator status`"""

from contextlib import closing
from dataclasses import asdict
from typing import Annotated, Any

import orjson
import typer

from coordinator_dagster.cli.console import console
from coordinator_dagster.cli.status_screen import screen
from coordinator_dagster.competition import Competition, read_competition
from coordinator_dagster.health.finding import Finding
from coordinator_dagster.health.judging import healthy, judge
from coordinator_dagster.health.look import Look
from coordinator_dagster.health.readings import Readings
from coordinator_dagster.release import version


def status(
    as_json: Annotated[bool, typer.Option("--json", help="all that was read and found, for programs")] = False,
) -> None:
    """Say whether the competition in this folder is healthy, and why not; the exit code is then 1.

    It only reads: nothing is started, made or migrated.
    """
    competition = read_competition()
    with closing(Look(competition)) as look:
        readings = look.take()
    findings = judge(competition, readings)
    if as_json:
        console.print(
            orjson.dumps(document(competition, readings, findings), option=orjson.OPT_INDENT_2).decode(),
            soft_wrap=True,
            markup=False,
        )
    else:
        console.print(screen(competition, readings, findings))
    if not healthy(findings):
        raise typer.Exit(1)


def document(competition: Competition, readings: Readings, findings: list[Finding]) -> dict[str, Any]:
    """What `--json` prints."""
    return {
        "competition": competition.settings.competition,
        "mode": competition.settings.mode,
        "release": version(),
        "healthy": healthy(findings),
        "findings": [asdict(one) for one in findings],
        "readings": asdict(readings),
    }
