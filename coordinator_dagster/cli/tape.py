"""`coordinator tape`"""

from datetime import datetime
from typing import Any

from coordinator_dagster.cli.console import console, print_rows
from coordinator_dagster.competition import read_competition
from coordinator_dagster.runtime import open_runtime


def tape() -> None:
    """How the tape stands: through when each series is complete, what is missing, what was not simply new."""
    with open_runtime(read_competition()) as runtime:
        status = runtime.store.tape_status
        series, gaps, fates = status.series(), status.gaps(), status.fates()
    if not series:
        console.print("the tape is empty: run `coordinator backfill`, or materialize market_records in the UI")
        return
    print_rows(
        ["series", "complete through", "last record", "stretches", "standing gaps", "known after, ms (99 %)"],
        [
            [
                one.series,
                _moment(one.complete_through),
                _moment(one.last_event_ts),
                str(one.stretches),
                str(one.standing_gaps),
                "" if one.median is None else f"{one.median:.0f} ({one.slow:.0f})",
            ]
            for one in series
        ],
    )
    _print("missing, quiet or given up", gaps)
    _print("not simply new", fates)


def _print(title: str, rows: Any) -> None:
    if rows:
        console.print(f"\n{title}:")
        print_rows(
            [name.replace("_", " ") for name in rows[0]._fields], [[_moment(cell) for cell in row] for row in rows]
        )


def _moment(value: Any) -> str:
    return "" if value is None else f"{value:%Y-%m-%d %H:%M:%S}" if isinstance(value, datetime) else str(value)
