"""Live against the venue's websockets, faster than real time, equals a batch replay with the stored cut-offs.

`make equivalence` runs a whole hour of two packs; here the last minutes of one, and the hand-over after it.
"""

import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from coordinator_dagster.audit import audit
from coordinator_dagster.cli.replay import replay as replay_command
from coordinator_dagster.competition import Competition, read_competition
from coordinator_dagster.runtime import Runtime, open_runtime
from slots.market import utc
from tests.live.running import run_until
from tests.tables import settled_tables

pytestmark = pytest.mark.venue
WHOLE = bool(os.environ.get("COORDINATOR_TEST_WHOLE_HOUR"))
PACKS = [("realtime", 3, 15), ("tournament", 6, 300)]  # without the whole hour: minutes at its end, seconds a cycle
# A tenth of a second that a busy machine is elsewhere costs a cycle, at this speed; then its replay misses it too.
IN_TIME = 0.99 if WHOLE else 0.75
SPEED = 20.0
WARM_SECONDS = 9  # real ones, for the models to start and the history to come
SAME = (
    "inference_inputs",
    "cycles",
    "forecasts",
    "ground_truths",
    "scores",
    "score_rollups",
    "model_scores",
    "leaderboards",
)


@pytest.mark.parametrize(("pack", "minutes", "every"), PACKS if WHOLE else PACKS[:1])
def test_a_live_hour_equals_its_replay(
    venue: Callable[..., Any],
    live: Callable[..., Competition],
    schema: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
    pack: str,
    minutes: int,
    every: int,
) -> None:
    end = utc("2023-03-23T13:00Z")
    begin = utc("2023-03-23T12:00Z") if WHOLE else end - timedelta(minutes=minutes)
    with venue((begin - timedelta(seconds=WARM_SECONDS * SPEED)).isoformat(), SPEED) as url:
        made = live(url, pack=pack, competition_end="2023-03-23T14:00Z")
        first, second = made.windows.between(made.start, made.settings.competition_end)
        told = run_until(made, [first, second], end + timedelta(seconds=240))
        assert told[0].done == [first.key], "the first window was closed by its own run"
        with open_runtime(made) as runtime:
            _every_cycle_in_time(runtime, begin, end + timedelta(seconds=90), every)
            assert audit(runtime.store.database, runtime.clock.now()) == []
            lived = _tables(runtime)
    monkeypatch.setenv("COMPETITION", schema("b"))
    replay_command(start=None, end=None, tape=None, live=made.schema, perform_missed=False)
    with open_runtime(read_competition(made.home)) as runtime:
        replayed = _tables(runtime)
    for table in SAME:
        assert lived[table], f"no {table}: the test would show nothing"
        apart = [pair for pair in zip(lived[table], replayed[table], strict=False) if pair[0] != pair[1]]
        assert lived[table] == replayed[table], f"{table}: {[differing(*one) for one in apart[:1]]}"


def differing(live: dict[str, Any], replay: dict[str, Any]) -> dict[str, Any]:
    """What differs between two rows, down to the items of a payload's lists."""
    found: dict[str, Any] = {"performed_at": str(live.get("performed_at"))}
    for name in live:
        one, other = live[name], replay[name]
        if isinstance(one, dict) and one != other:
            found[name] = differing(one, other)
        elif isinstance(one, list) and one != other:
            found[name] = ([x for x in one if x not in other][:3], [x for x in other if x not in one][:3])
        elif one != other:
            found[name] = (one, other)
    return found


def _every_cycle_in_time(runtime: Runtime, begin: Any, until: Any, every: int) -> None:
    rows = runtime.store.database.read(
        "select c.performed_at, c.status, c.reason, count(f.id) filter (where f.status = 'SUCCESS') as answers "
        "from cycles c left join forecasts f using (performed_at, prediction_config_id) "
        "where c.performed_at >= :begin and c.performed_at < :until "
        "group by 1, 2, 3, c.prediction_config_id order by 1",
        begin=begin,
        until=until,
    )
    assert len(rows) >= (until - begin).total_seconds() // every
    good = [row for row in rows if row.status == "PERFORMED" and row.answers == 3]
    assert len(good) >= IN_TIME * len(rows), [tuple(row) for row in rows if row not in good]


def _tables(runtime: Runtime) -> dict[str, Any]:
    """What must be the same of the first window: its rows, and the cycles settled in it."""
    window = runtime.competition.windows.at(runtime.competition.start)
    tables = settled_tables(runtime.store)
    for row in tables["forecasts"]:
        del row["asked_at"]  # a measured time, as `answered_at` is
    return {
        name: [
            row for row in tables[name] if _of(row) < window.end and row.get("resolvable_at", window.end) <= window.end
        ]
        for name in SAME
    }


def _of(row: dict[str, Any]) -> Any:
    return row.get("window_start") or row["performed_at"]
