"""The checks: a file of plain SQL each in `rules/`, whose rows are what breaks one of the rules of time."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from coordinator_dagster.errors import UserError

RULES = Path(__file__).parent / "rules"
HEADER = ("rule", "asset", "title")
NAMES = {
    1: "as of",
    2: "performed",
    3: "resolvable",
    4: "one truth for all",
    5: "tape first",
    6: "once",
    7: "missed is missed",
    8: "settling is a function",
    9: "numbers are numbers",
    10: "UTC everywhere",
    11: "every state ends",
    12: "our faults are ours",
    13: "empty is not zero",
    14: "scores say by what",
    15: "first is known",
}
ASSETS = (
    "market_records",
    "inference_inputs",
    "predictions",
    "ground_truths",
    "scores",
    "model_scores",
    "leaderboard",
)
PARAMETERS = {"now", "start", "end"}
# The whole of history; datetime.min and max themselves cannot be moved by a time zone.
BEGINNING, END = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)


@dataclass(frozen=True)
class Query:
    """A check: the rule it guards, the asset that writes what it looks at, and what is wrong with its rows."""

    name: str
    rule: int
    asset: str
    title: str
    sql: str


@dataclass(frozen=True)
class Violation:
    """How many rows break a rule, and the first of them."""

    query: Query
    count: int
    rows: Sequence[Mapping[str, Any]]


def read_queries(folder: Path = RULES) -> list[Query]:
    """Every check, in the order of their names; UserError for a file that is none."""
    queries = [parse_query(path.name, path.read_text()) for path in sorted(folder.glob("*.sql"))]
    if not queries:
        raise UserError(f"{folder}: no checks there; install the package again")
    return queries


def parse_query(file: str, content: str) -> Query:
    """A check from its file: the header's comment lines, then one SELECT."""
    header = dict(re.findall(r"^-- (\w+): (.*\S)", "\n".join(content.splitlines()[: len(HEADER)]), re.MULTILINE))
    if tuple(header) != HEADER:
        wanted = ", ".join(f"`-- {name}: …`" for name in HEADER)
        raise UserError(f"{file}: begins with {', '.join(header) or 'no header'}; its first lines must be {wanted}")
    if not header["rule"].isdecimal() or int(header["rule"]) not in NAMES:
        raise UserError(f"{file}: rule {header['rule']}: there are the rules 1 to {len(NAMES)}")
    if header["asset"] not in ASSETS:
        raise UserError(f"{file}: asset {header['asset']}: must be one of {', '.join(ASSETS)}")
    unknown = set(text(content).compile().params) - PARAMETERS
    if unknown:
        raise UserError(f"{file}: parameter :{min(unknown)}: there are :now, :start and :end")
    return Query(Path(file).stem, int(header["rule"]), header["asset"], header["title"], content.rstrip().rstrip(";"))


def run_query(
    connection: Connection, query: Query, now: datetime, start: datetime, end: datetime, shown: int
) -> Violation | None:
    """The rows that a check finds, counted, and the first `shown` of them; None: the rule holds."""
    # only the files of this package are put into it; values are bound
    counted = text(f"select count(*) over () as in_all, found.* from ({query.sql}\n) found limit {shown:d}")
    try:
        rows = connection.execute(counted, {"now": now, "start": start, "end": end}).all()
    except DBAPIError as error:
        raise UserError(f"the check {query.name} cannot be run: {str(error.orig).strip()}") from error
    kept = [{name: value for name, value in row._mapping.items() if name != "in_all"} for row in rows]
    return Violation(query, rows[0].in_all, kept) if rows else None
