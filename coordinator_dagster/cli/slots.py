"""`coordinator slots`"""

from difflib import get_close_matches
from typing import Annotated

import typer

from coordinator_dagster.cli.console import print_rows
from coordinator_dagster.competition import read_competition
from coordinator_dagster.errors import UserError
from coordinator_dagster.slots_reference import contract_text, markdown
from slots.contracts import CONTRACTS


def slots(
    name: Annotated[str | None, typer.Argument(help="one slot, such as SCORING_FUNCTION: its contract")] = None,
    whole: Annotated[bool, typer.Option("--markdown", help="the reference of all ten, as a page")] = False,
) -> None:
    """Which function each of the ten slots is, and who said so; or what one is given and must return."""
    if whole:
        typer.echo(markdown(), nl=False)
    elif name is None:
        paths = read_competition().slot_paths
        rows = [[name, paths[name].path, paths[name].source] for name in CONTRACTS]
        print_rows(["slot", "function", "from"], rows)
    elif contract := CONTRACTS.get(name.upper()):
        typer.echo(contract_text(contract))
    else:
        near = get_close_matches(name.upper(), CONTRACTS, 1)
        raise UserError(f"there is no slot {name!r}{f'; did you mean {near[0]}?' if near else ''}; `coordinator slots`")
