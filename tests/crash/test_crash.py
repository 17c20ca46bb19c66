"""kill -9 in the middle of each asset, then the same run again: equal to the run that was never killed.

A few random kills for each asset, most of them after a commit; with COORDINATOR_TEST_KILLS=every, at every
point, and many more. COORDINATOR_TEST_SEED repeats what a failed run chose.
"""

import os
import random
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from coordinator_dagster.competition import Competition
from coordinator_dagster.runtime import open_runtime
from tests.crash.audit import audit_finds_nothing
from tests.crash.killing import kill_after, kill_at_point, run_through, started, wait_until
from tests.crash.victim import COMMIT, OPENING, STEPS, Began, Ended, Order
from tests.tables import settled_tables

Make = Callable[..., Competition]
MakeWorld = Callable[[str], Competition]
Tables = dict[str, list[dict[str, Any]]]

EVERY = os.environ.get("COORDINATOR_TEST_KILLS") == "every"
pytestmark = [pytest.mark.crash, pytest.mark.timeout(3600 if EVERY else 600)]
SEED = int(os.environ.get("COORDINATOR_TEST_SEED") or secrets.randbelow(1_000_000))
COMMITS = 3 if EVERY else 2
TIMED_KILLS = 10 if EVERY else 1
REPEATED_KILLS = 40 if EVERY else 6
# Market records come in several commits, as they do in a competition with more than these two hours.
BATCH = 200
# Two hours each: simulated, and on the real tape the outage of 2023-03-24, with gaps and VOID cycles.
WORLDS = {
    "simulated": {"pack": "tournament"},
    "outage": {
        "pack": "tournament",
        "feed_provider": "replay",
        "competition_start": "2023-03-24T12:00Z",
        "competition_end": "2023-03-24T14:00Z",
    },
}
MODELS_START_SECONDS = 30
HANGS = """from slots.tracker import TrackerBase
class Model(TrackerBase):
    def tick(self, data): pass
    def predict(self, asset, horizon, step):
        print("called")
        while True: pass
"""
# Where the real tape is at hand, gaps are recorded too.
CASES = [
    ("simulated", OPENING),
    ("outage" if os.environ.get("COORDINATOR_TEST_TAPE") else "simulated", "market_records"),
]
CASES += [("simulated", asset) for asset in STEPS if asset != "market_records"]
if EVERY:
    CASES = [(world, asset) for world in WORLDS for asset in (OPENING, *STEPS)]


@dataclass(frozen=True)
class Whole:
    """The run that was never killed."""

    tables: Tables
    steps: dict[str, Ended]


@pytest.fixture(autouse=True)
def seed() -> None:
    print(f"COORDINATOR_TEST_SEED={SEED} chooses the same kills again")


@pytest.fixture(scope="module")
def wholes() -> dict[str, Whole]:
    """By world; each is run once."""
    return {}


@pytest.fixture
def world(competition: Make, request: pytest.FixtureRequest) -> MakeWorld:
    """Makes a world's competition, in an empty schema."""

    def make(name: str) -> Competition:
        settings: dict[str, Any] = dict(WORLDS[name])
        if "feed_provider" in settings:
            settings["feed_tape_dir"] = request.getfixturevalue("tape_dir")
        return competition(**settings)

    return make


@pytest.fixture
def whole(world: MakeWorld, wholes: dict[str, Whole]) -> Callable[[str], Whole]:
    def run(name: str) -> Whole:
        if name not in wholes:
            made = world(name)
            steps = run_through(order(made, batch=BATCH))
            wholes[name] = Whole(tables_of(made), steps)
            for table in ("scores", "score_rollups", "leaderboards"):
                assert wholes[name].tables[table], f"{table} is empty: the comparison would show nothing"
        return wholes[name]

    return run


def order(made: Competition, one_by_one: bool = False, **stop: Any) -> Order:
    """All the competition's windows in one run, or a run for each."""
    keys = [window.key for window in made.windows.between(made.start, made.settings.competition_end)]
    return Order(dict(os.environ), made.home, [[key] for key in keys] if one_by_one else [keys], **stop)


def tables_of(made: Competition) -> Tables:
    with open_runtime(made) as runtime:
        return settled_tables(runtime.store)


def fault(made: Competition, expected: Tables, killed: str, one_by_one: bool = False) -> list[str]:
    """Run the loop that was killed again, to its end: what is not as it is without the kill, in a line."""
    run_through(order(made, one_by_one))
    found = tables_of(made)
    audit_finds_nothing(killed)
    how = "a run for each window" if one_by_one else "all windows in one run"
    wrong = [name for name in expected if found[name] != expected[name]]
    return [f"killed {killed}; run again, {how}, these differ: {', '.join(wrong)}"] if wrong else []


def chosen_points(points: Sequence[str], chance: random.Random) -> list[int]:
    """After commits, a few at random, and a random one; or all there are."""
    if EVERY:
        return list(range(len(points)))
    after_commits = [place + 1 for place, point in enumerate(points) if point == COMMIT]
    return sorted({*chance.sample(after_commits, min(len(after_commits), COMMITS)), chance.randrange(len(points))})


@pytest.mark.parametrize(("name", "asset"), CASES)
def test_killed_between_two_statements(world: MakeWorld, whole: Callable[[str], Whole], name: str, asset: str) -> None:
    expected, chance = whole(name), random.Random(f"{SEED} {name} {asset}")
    points = expected.steps[asset].points
    wrong: list[str] = []
    for place in chosen_points(points, chance):
        made = world(name)
        point = kill_at_point(order(made, stop_in=asset, stop_at=place, batch=BATCH))
        assert point == points[place], "the killed run took another way than the one that was not"
        killed = f"in {asset} before point {place} of {len(points)}, {point!r}"
        wrong += fault(made, expected.tables, killed, chance.random() < 0.5)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(("name", "asset"), CASES)
def test_killed_at_a_random_moment(world: MakeWorld, whole: Callable[[str], Whole], name: str, asset: str) -> None:
    expected, chance = whole(name), random.Random(f"{SEED} moment {name} {asset}")
    wrong: list[str] = []
    for _ in range(TIMED_KILLS):
        made, seconds = world(name), chance.uniform(0, expected.steps[asset].seconds)
        kill_after(order(made, stop_in=asset, batch=BATCH), seconds)
        wrong += fault(made, expected.tables, f"{seconds:.3f} s into {asset}", chance.random() < 0.5)
    assert not wrong, "\n".join(wrong)


def test_killed_again_and_again(world: MakeWorld, whole: Callable[[str], Whole]) -> None:
    expected, chance = whole("simulated"), random.Random(f"{SEED} again")
    made, kills = world("simulated"), []
    for _ in range(REPEATED_KILLS):
        asset = chance.choice([OPENING, *STEPS])
        place = chance.randrange(len(expected.steps[asset].points))
        # What is done already has fewer points: then it is killed at its end.
        point = kill_at_point(order(made, chance.random() < 0.5, stop_in=asset, stop_at=place))
        kills.append(f"in {asset} before point {place}, {point!r}")
    assert not fault(made, expected.tables, "; ".join(kills))


def test_no_model_outlives_the_killed_run(competition: Make, model_folder: Callable[[str, str], Path]) -> None:
    """Not even one that never comes back from its call, and so never sees that nobody listens."""
    names = ("hangs", "hangs-too")
    for name in names:
        folder = model_folder(name, HANGS)
    made = competition(models_dir=folder)
    logs = [made.home / ".coordinator" / "logs" / made.settings.competition / f"{name}.log" for name in names]
    with started(order(made, stop_in="predictions")) as running:
        running.wait_for(Began, "predictions")
        wait_until(lambda: all(log.exists() and log.read_text() for log in logs), MODELS_START_SECONDS)
        assert running.kill() in (3, 5), "the two models and what forked them; bubblewrap is two more"
