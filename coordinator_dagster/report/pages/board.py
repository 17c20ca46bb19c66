"""`/`: the leaderboard."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from fastapi import Request, Response

from coordinator_dagster.report.opened import Here, Opened
from coordinator_dagster.report.pages.columns import Cell, Column, cell, columns
from coordinator_dagster.report.pages.site import answer, fragment, html, nav, page_router
from coordinator_dagster.report.pages.standing import Board, Standing, standing
from coordinator_dagster.report.rendered import Rendered
from coordinator_dagster.report.rows import board_row
from coordinator_dagster.report.schema import shown_schema
from coordinator_dagster.store.report.board_history import BoardHistory

router = page_router()
LONG = 20  # models, above which one looks for a name
OVERDUE = "No forecast has been made since then, though several were due."
WIDEST = 5  # columns of numbers that fit beside the others on a wide screen


@dataclass(frozen=True)
class Line:
    """A model on the board. `change` places up; None where it or its rank before is unknown; `new` among the ranked."""

    model_id: str
    name: str
    player: str
    rank: int | None
    change: int | None
    new: bool
    cells: list[Cell]
    answered: int | None
    due: int | None
    why: str

    @property
    def twentieths(self) -> int:
        """Of what was due, how much was answered: as finely as the bar shows it."""
        return round(20 * (self.answered or 0) / self.due) if self.due else 0


@dataclass(frozen=True)
class Table:
    """A whole leaderboard; `since_hours` ago ranks are compared with, None where there is no earlier board."""

    columns: list[Column]
    lines: list[Line]
    ranked_by: str
    since_hours: int | None

    @property
    def has_unranked(self) -> bool:
        return any(line.why for line in self.lines)

    @property
    def is_long(self) -> bool:
        return len(self.lines) > LONG

    @property
    def fits(self) -> bool:
        return len(self.columns) <= WIDEST


@router.get("/")
def leaderboard(request: Request, here: Here) -> Response:
    """The newest board."""
    found = standing(here)
    stamp = (found.stamp, found.next_instant, found.last_instant, found.overdue, found.has_feeds)
    return answer(request, here.kept.get("leaderboard page", stamp, lambda: _page(here, found)))


def _page(here: Opened, found: Standing) -> Rendered:
    # The next instant comes more often than another board.
    table, shown = here.kept.get("leaderboard table", found.stamp, lambda: _shown(here, found.board))
    return html(
        "leaderboard.html",
        name=here.competition.settings.competition,
        description=here.competition.pack.description,
        mode=here.competition.settings.mode,
        nav=nav("/", found.has_feeds),
        standing=found,
        overdue_text=OVERDUE,
        table=table,
        board_table=shown,
    )


def board_table(table: Table) -> str:
    """The table as HTML."""
    return fragment("board_table.html", table=table)


def _shown(here: Opened, board: Board | None) -> tuple[Table | None, str]:
    newest = here.store.boards.latest_leaderboard(board.start) if board else None
    # None, too, where another version has come to be shown since: the next look finds that one's.
    table = _table(here, newest) if newest else None
    return table, board_table(table) if table else ""


def _table(here: Opened, newest: Any) -> Table:
    before = BoardHistory(here.database).earlier_ranks(newest.window_start)
    return make_table(newest.entries_jsonb, shown_schema(here), newest.window_start, before)


def make_table(
    entries: Sequence[Mapping[str, Any]],
    schema: Mapping[str, Any],
    start: datetime,
    before: tuple[datetime, Mapping[str, int | None]] | None,
) -> Table:
    """The entries in the order of the board. `before`: an earlier board's start, and its ranks by model."""
    shown = columns(schema, entries)
    then = before[1] if before else None
    lines = [_line(entry, shown, start, then) for entry in entries]
    hours = round((start - before[0]) / timedelta(hours=1)) if before else None
    return Table(shown, sorted(lines, key=lambda line: line.rank or len(lines) + 1), _ranked_by(entries, shown), hours)


def _line(
    entry: Mapping[str, Any], shown: Sequence[Column], start: datetime, before: Mapping[str, int | None] | None
) -> Line:
    row = board_row(entry, start, None)
    rank, was = row["rank"], (before or {}).get(row["model_id"])
    return Line(
        model_id=row["model_id"],
        name=str(row["model_name"] or row["model_id"]),
        player=str(row["cruncher_name"] or ""),
        rank=rank,
        change=was - rank if rank and was else None,
        new=bool(before is not None and rank and not was),
        cells=[cell(column, row) for column in shown],
        answered=row["answered"],
        due=row["due"],
        why=row["unranked_reason"] or ("" if rank else "it has no value to rank by"),
    )


def _ranked_by(entries: Sequence[Mapping[str, Any]], shown: Sequence[Column]) -> str:
    """By which number, for people; empty where there is no entry."""
    if not entries:
        return ""
    ranking = entries[0]["score"]["ranking"]
    names = {column.key.removeprefix("score_"): column.title for column in shown}
    name = names.get(ranking["key"].removeprefix("score_"), ranking["key"])
    return f"Ranked by {name}: the {'lower' if ranking.get('direction') == 'asc' else 'higher'}, the better."
