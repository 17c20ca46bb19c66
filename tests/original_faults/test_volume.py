"""Volume: what a window costs depends on the window, not on the history and not on the number of rows."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import event, text

from coordinator_dagster.competition import Competition
from coordinator_dagster.report.opened import Opened
from coordinator_dagster.runtime import Runtime
from tests.original_faults.conftest import WritePack
from tests.original_faults.world import HOUR, START, Script, always, opened, perform, rows, settle, windows_of

Make = Callable[..., Competition]
GROWS = (
    "cycles",
    "forecasts",
    "ground_truths",
    "scores",
    "score_rollups",
    "model_scores",
    "leaderboards",
    "inference_inputs",
)
MOMENTS = {"performed_at", "resolvable_at", "window_start", "window_end", "computed_at", "cut_off", "answer_by"}


@dataclass
class Reads:
    """What the queries of a while gave back, in rows, and what they looked at for it, in the database's blocks."""

    rows: Counter[str] = field(default_factory=Counter)
    blocks: Counter[str] = field(default_factory=Counter)


@contextmanager
def reads(runtime: Runtime | Opened, analyzed: bool = True) -> Iterator[Reads]:
    """Every query is explained before it runs; where `analyzed`, by plans for the tables as they are now.

    The least of three times is taken: where other sessions create and drop tables, the first also reads the catalogs,
    and the server counts that as the query's.
    """
    found, engine = Reads(), runtime.store.database.engine

    def explain(connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        asks = statement.lstrip().startswith(("select", "with"))
        if asks and "for update" not in statement and "pg_advisory" not in statement:
            with connection.connection.cursor() as cursor:
                cursor.execute("set random_page_cost = 1.1")  # as on an SSD; 4, the default, is for spinning disks
                plans = []
                for _ in range(3):
                    cursor.execute(f"explain (analyze, buffers, format json) {statement}", parameters)
                    plans.append(cursor.fetchone()[0][0]["Plan"])
            found.rows[statement] += plans[0]["Actual Rows"]
            found.blocks[statement] += min(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] for plan in plans)

    if analyzed:
        with runtime.store.database.transaction() as connection:
            connection.execute(text(f"analyze {', '.join(GROWS)}"))
    event.listen(engine, "before_cursor_execute", explain)
    try:
        yield found
    finally:
        event.remove(engine, "before_cursor_execute", explain)


def repeat_the_past(runtime: Runtime, places: Sequence[int]) -> None:
    """All that is stored once more in each of these places, counted in stretches of 15 hours before."""
    database = runtime.store.database
    for table in ("forecasts", "scores"):
        database.ensure_months(table, START - (max(places) + 1) * 15 * HOUR, START)
    with database.transaction() as connection:
        for table in GROWS:
            found = connection.execute(
                text(
                    "select column_name from information_schema.columns where table_schema = current_schema "
                    "and table_name = :table and column_name <> 'id'"
                ),
                {"table": table},
            ).scalars()
            names = list(found)
            shifted = [f"{one} - place * interval '15 hours'" if one in MOMENTS else one for one in names]
            connection.execute(
                text(
                    f"insert into {table} ({', '.join(names)}) select {', '.join(shifted)} "
                    f"from {table}, unnest(cast(:places as integer[])) as place"
                ),
                {"places": list(places)},
            )


def test_history_re_read_at_each_scoring(competition: Make, pack: WritePack) -> None:
    """History re-read at each scoring: 0.06 s at 1 thousand scored forecasts, 6.6 s and 511 MB at 100 thousand."""
    made = competition(
        pack=pack(300, 300, look_back_hours=2, min_cycles=0), competition_end=(START + 15 * HOUR).isoformat()
    )
    windows = windows_of(made)
    with opened(made, {"a": always(0.0), "b": always(0.001)}) as runtime:
        perform(runtime, windows[:13])
        settle(runtime, windows[:13])
        repeat_the_past(runtime, range(1, 21))
        perform(runtime, windows[13:])
        with reads(runtime) as young:
            settle(runtime, windows[13:14])
        repeat_the_past(runtime, [21])
        with reads(runtime) as old:
            settle(runtime, windows[14:])
        assert rows(runtime, "select count(*) as n from scores") == [{"n": 2 * 12 * ((13 * 21 + 1) * 2 + 1)}]
    assert young.rows.total() > 20, "the test would show nothing"
    assert old.rows == young.rows, "more is read than before"
    grown = {sql: (young.blocks[sql], now) for sql, now in old.blocks.items() if now > 1.2 * young.blocks[sql] + 3}
    assert not grown, "with twice the history these queries look at more of it"


def test_history_read_for_the_sums_of_many_windows(competition: Make, pack: WritePack) -> None:
    """Read as a join, they cost three times as much after 480 hours, on a server that had made no statistics."""
    made = competition(pack=pack(300, 300, min_cycles=0), competition_end=(START + 15 * HOUR).isoformat())
    windows = windows_of(made)
    with opened(made, {"a": always(0.0), "b": always(0.001)}) as runtime:
        perform(runtime, windows[:13])
        settle(runtime, windows[:5])
        repeat_the_past(runtime, range(1, 11))
        with reads(runtime, analyzed=False) as young:
            settle(runtime, windows[5:9])
        for twice_as_far in (11, 22):
            repeat_the_past(runtime, [twice_as_far])
        with reads(runtime, analyzed=False) as old:
            settle(runtime, windows[9:13])
    (sums,) = [sql for sql in young.blocks if "array_agg" in sql]
    assert old.rows[sums] == young.rows[sums] == 2 * 4
    assert old.blocks[sums] < 2 * young.blocks[sums], "more is read than before"


@contextmanager
def commits(runtime: Runtime) -> Iterator[Counter[str]]:
    """Counts the commits of a while."""
    counted: Counter[str] = Counter()

    def count(_connection: Any) -> None:
        counted["commit"] += 1

    event.listen(runtime.store.database.engine, "commit", count)
    try:
        yield counted
    finally:
        event.remove(runtime.store.database.engine, "commit", count)


def crowd(size: int) -> dict[str, Script]:
    return {f"m{place}": always(place * 0.0001) for place in range(size)}


def test_one_commit_per_model(competition: Make, pack: WritePack) -> None:
    """One commit per model and per record: about 220 forecasts/s stored, 405/s settled."""
    found: dict[str, Any] = {}
    for name, models, every in (("a", 2, 300), ("b", 12, 300), ("c", 12, 60)):
        made = competition(name, pack=pack(every, 60), competition_end="2026-01-05T01:00Z")
        with opened(made, crowd(models)) as runtime:
            runtime.ingest(windows_of(made))
            runtime.build_inputs(windows_of(made))
            with commits(runtime) as storing:
                runtime.predict(windows_of(made))
            with commits(runtime) as settling:
                settle(runtime, windows_of(made))
            (count,) = rows(runtime, "select count(*) as n from predictions where score_value is not null")
            assert count["n"] == models * 3600 // every
        found[name] = (storing["commit"], settling["commit"])
    assert found["a"] == found["b"] == found["c"], "the number of models or cycles costs commits"
    stored, settled = found["c"]
    assert 1 <= stored <= 5 and 1 <= settled <= 14  # four of them are the settlers' turns, one a stage


@pytest.mark.parametrize("hours", [1, 24])
def test_one_commit_per_record(competition: Make, hours: int) -> None:
    """One commit per model and per record: 957 market records/s. A day of records costs what an hour's do."""
    made = competition(competition_end=(START + hours * HOUR).isoformat())
    with opened(made, {}) as runtime:
        with commits(runtime) as counted:
            report = runtime.ingest(windows_of(made))
        assert report.new == 180 + 60 * hours
    assert 1 <= counted["commit"] <= 5
