"""How the commands print."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from coordinator_dagster.leaderboard_table import leaderboard_rows

console = Console(highlight=False)
WIDEST = 10_000  # columns of a table that is measured


@contextmanager
def progress_bar(title: str, total: int) -> Iterator[Any]:
    """Gives a function that is told how many more windows are done."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(title, total=total)
        yield lambda done: progress.advance(task, done)


@contextmanager
def byte_bar(title: str) -> Iterator[Any]:
    """Gives a function that is told the bytes done so far, and those in all."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(title, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def print_leaderboard(board: Any) -> None:
    """The board as a table, with the moment it is of."""
    if board is None:
        console.print(
            "no leaderboard yet: live, it comes with the first settled window; else run `coordinator replay`, or "
            "materialize the windows in the UI"
        )
        return
    state = "final" if board.final else "interim: some cycles of the look-back have not ended"
    header, *rows = leaderboard_rows(board.entries_jsonb)
    table = Table(title=f"Leaderboard at {board.computed_at:%Y-%m-%d %H:%M} UTC ({state})")
    for name in header:
        table.add_column(name, justify="left" if name in ("model", "player", "why unranked") else "right")
    for row in rows:
        table.add_row(*map(_cell, row))
    console.print(table)


def print_rows(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table whose first column is never cut."""
    console.print(_table(header, rows))


def print_records(records: Sequence[Mapping[str, str]]) -> None:
    """A table where the screen is wide enough for it, else a line for each value."""
    table = _table(list(records[0]), [list(one.values()) for one in records])
    if console.measure(table, options=console.options.update(max_width=WIDEST)).maximum <= console.width:
        console.print(table)
        return
    for one in records:
        lines = Table.grid(padding=(0, 2))
        lines.add_column(no_wrap=True)
        lines.add_column(overflow="fold")
        for name, value in one.items():
            lines.add_row(f"  {_cell(name)}", _cell(value))
        console.print(lines, "")


def printable(text: str) -> str:
    """Without what a terminal obeys: some of the text is the participants'."""
    return "".join(one if one.isprintable() or one == "\n" else repr(one)[1:-1] for one in text)


def _cell(text: str) -> str:
    return escape(printable(text))


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(box=SIMPLE)
    for place, name in enumerate(header):
        table.add_column(name, no_wrap=place == 0, overflow="fold")
    for row in rows:
        table.add_row(*map(_cell, row))
    return table
