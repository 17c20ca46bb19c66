"""`coordinator audit`"""

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import datetime
from typing import Annotated, Any

import typer

from coordinator_dagster.audit import audit as run_audit
from coordinator_dagster.audit.queries import BEGINNING, END, NAMES, Violation, read_queries
from coordinator_dagster.audit.resettle import resettle, settled_windows
from coordinator_dagster.cli.console import console, print_records, progress_bar
from coordinator_dagster.cli.moments import parse_moment
from coordinator_dagster.competition import read_competition
from coordinator_dagster.errors import UserError
from coordinator_dagster.runtime import Runtime
from coordinator_dagster.store.database import Database
from coordinator_dagster.store.scratch import Difference
from coordinator_dagster.store.store import open_as_it_stands

LONGEST_CELL = 300


def audit(
    start: Annotated[str | None, typer.Option("--from", help="the first instant to look at, UTC")] = None,
    end: Annotated[str | None, typer.Option("--to", help="the end of the instants to look at, UTC")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the result as JSON")] = False,
    again: Annotated[
        bool, typer.Option("--resettle", help="settle everything again and compare: rules 4, 8, 14")
    ] = False,
) -> None:
    """Check the rules of time over everything that is stored; exit code 1 when one is broken."""
    first = parse_moment("--from", start) if start else BEGINNING
    last = parse_moment("--to", end) if end else END
    if first >= last:
        raise UserError(f"--from={start} is not before --to={end}; swap them")
    competition, queries = read_competition(), read_queries()
    with closing(Runtime(competition, open_as_it_stands(competition))) as runtime:
        database, now = runtime.store.database, runtime.clock.now()
        if as_json:
            violations = run_audit(database, now, first, last, queries)
        else:
            with progress_bar(f"{competition.settings.competition}: checks", len(queries)) as advance:
                violations = run_audit(database, now, first, last, queries, advance)
        looked_at = _looked_at(database, first, last)
        differences = _settle_again(runtime, quietly=as_json) if again else []
    if as_json:
        document = as_document(violations, len(queries), now, looked_at) | {"differences": differences}
        typer.echo(json.dumps(document, default=_plain, indent=2))
    else:
        print_violations(violations, len(queries), looked_at)
        print_differences(differences, again)
    if violations or differences:
        raise typer.Exit(1)


def _settle_again(runtime: Runtime, quietly: bool) -> list[Difference]:
    if quietly:
        return resettle(runtime, lambda done: None)
    with progress_bar("settling again: windows", len(settled_windows(runtime))) as advance:
        return resettle(runtime, advance)


def _looked_at(database: Database, first: datetime, last: datetime) -> dict[str, int]:
    """How much there was to look at: nothing found in nothing says little."""
    return {
        table: database.read(
            f"select count(*) as n from {table} where performed_at >= :first and performed_at < :last",  # noqa: S608
            first=first,
            last=last,
        )[0].n
        for table in ("cycles", "forecasts", "scores")
    }


def as_document(
    violations: Sequence[Violation], checks: int, now: datetime, looked_at: dict[str, int]
) -> dict[str, Any]:
    """The result for machines."""
    return {
        "checks": checks,
        "now": now,
        "looked_at": looked_at,
        "violations": [
            {
                "check": one.query.name,
                "rule": one.query.rule,
                "asset": one.query.asset,
                "title": one.query.title,
                "count": one.count,
                "rows": list(one.rows),
            }
            for one in violations
        ],
    }


def print_violations(violations: Sequence[Violation], checks: int, looked_at: dict[str, int]) -> None:
    """The result for people: each broken rule with its first rows, then the sum of it."""
    for one in violations:
        query = one.query
        console.print(f"[bold red]✗[/] rule {query.rule}, {NAMES[query.rule]}: {query.title} ({query.name})")
        print_records([_shown(row) for row in one.rows])
        if one.count > len(one.rows):
            console.print(f"… and {one.count - len(one.rows)} more rows\n")
    found = f"{len(violations)} violated" if violations else "no violation"
    seen = ", ".join(f"{count} {table}" for table, count in looked_at.items())
    console.print(f"{checks} checks, {found} (over {seen})")


def print_differences(differences: Sequence[Difference], again: bool) -> None:
    """What settling again did not give, table by table."""
    for one in differences:
        for side, rows in (("stored", one.stored_only), ("settled again", one.again_only)):
            if rows:
                console.print(f"[bold red]✗[/] {one.table}: only {side}")
                print_records([_shown(row) for row in rows])
    if again and not differences:
        console.print("settled again: the same truths, scores and boards")


def _shown(row: Mapping[str, Any]) -> dict[str, str]:
    """A row for people: what is too long is cut."""
    texts = {name: "" if value is None else str(_plain(value)) for name, value in row.items()}
    return {name: text if len(text) <= LONGEST_CELL else f"{text[:LONGEST_CELL]}…" for name, text in texts.items()}


def _plain(value: Any) -> Any:
    """Times as ISO 8601 in UTC, JSON as JSON, everything else as text."""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, Difference):
        return vars(value)
    return json.dumps(value) if isinstance(value, dict | list) else str(value)
