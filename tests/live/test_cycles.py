"""Each instant in its turn, whatever happens around it."""

import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from coordinator_dagster.audit import audit
from coordinator_dagster.competition import Competition
from coordinator_dagster.levers.carry_out import carry_out
from coordinator_dagster.levers.request import Request
from coordinator_dagster.runtime import Runtime, open_runtime
from slots.market import utc
from tests.live.running import run_simulated

START = utc("2026-01-05T00:00Z")
MINUTE = timedelta(minutes=1)
EARLY = START - 4 * MINUTE  # four real seconds, for the models to start
QUICK = "from slots.tracker import TrackerBase\nclass M(TrackerBase):\n    def tick(self, data): pass\n"
ANSWERS = QUICK + "    def predict(self, asset, horizon, step): return {'value': 0.001}\n"
SLEEPS = "import time\n" + QUICK + "    def predict(self, asset, horizon, step): time.sleep(100)\n"

Make = Callable[..., Competition]
Folder = Callable[[str, str], Path]


@pytest.fixture
def made(competition: Make, model_folder: Folder) -> Callable[..., Competition]:
    """A live competition over the simulated market with one model that answers at once."""

    def make(**settings: Any) -> Competition:
        return competition(mode="live", models_dir=model_folder("quick", ANSWERS), **settings)

    return make


def cycles(made: Competition, until: Any = START + timedelta(hours=1)) -> list[Any]:
    with open_runtime(made) as runtime:
        return list(
            runtime.store.database.read(
                "select performed_at, status, reason, cut_off, dispatched_at from cycles where performed_at < :until "
                "order by 1",
                until=until,
            )
        )


def test_every_minute_is_performed_in_time_and_measured(made: Make) -> None:
    here = made()
    tell = run_simulated(here, EARLY, START + 5.9 * MINUTE)
    found = cycles(here)
    assert [(row.performed_at, row.status) for row in found] == [(START + n * MINUTE, "PERFORMED") for n in range(6)]
    for row in found:
        assert row.performed_at < row.cut_off <= row.dispatched_at
    with open_runtime(here) as runtime:
        stored = runtime.store.database.read("select stored_at, cut_off from cycles order by performed_at")
        assert all(row.stored_at > row.cut_off for row in stored[:4]), "noted at the checkpoint after it"
        assert audit(runtime.store.database, START + 6 * MINUTE) == []
    assert tell.problems == []


def test_a_slow_model_delays_nobody(made: Make, model_folder: Folder) -> None:
    here = made()
    model_folder("slow", SLEEPS)
    run_simulated(here, EARLY, START + 4.95 * MINUTE)
    with open_runtime(here) as runtime:
        found = runtime.store.database.read(
            "select performed_at, model_id, status from forecasts order by performed_at, model_id"
        )
    assert {(row.model_id, row.status) for row in found} == {("quick", "SUCCESS"), ("slow", "TIMEOUT")}
    assert [row.performed_at for row in found][:8:2] == [START + n * MINUTE for n in range(4)], "none is skipped"


def test_who_takes_over_goes_on_with_a_suspension(made: Make, model_folder: Folder) -> None:
    here = made(model_runner_max_consecutive_failures=3)
    model_folder("raises", QUICK + "    def predict(self, asset, horizon, step): raise ValueError('no idea')\n")
    run_simulated(here, EARLY, START + 4.9 * MINUTE)
    run_simulated(here, START + 5 * MINUTE, START + 12.9 * MINUTE)
    with open_runtime(here) as runtime:
        found = runtime.store.database.read(
            "select performed_at, model_id, status from forecasts where model_id = 'raises' order by performed_at"
        )
        assert audit(runtime.store.database, START + 13 * MINUTE) == []
    assert [row.status for row in found[:5]] == ["FAILED"] * 3 + ["SUSPENDED"] * 2
    assert len(found) > 6 and {row.status for row in found[5:]} == {"SUSPENDED"}


def test_a_slot_that_fails_misses_its_cycle_and_says_so(made: Make) -> None:
    here = made(raw_input_provider="tests.live.slots:input_that_fails_once")
    tell = run_simulated(here, EARLY, START + 3.9 * MINUTE)
    found = {row.performed_at: (row.status, row.reason) for row in cycles(here)}
    assert [found[START + n * MINUTE][0] for n in range(4)] == ["PERFORMED", "PERFORMED", "MISSED", "PERFORMED"]
    assert "RAW_INPUT_PROVIDER=tests.live.slots:input_that_fails_once" in found[START + 2 * MINUTE][1]
    assert "no input at two past" in found[START + 2 * MINUTE][1]
    assert len(tell.problems) == 1


def at_two_past(what: Callable[[Runtime], None]) -> Callable[[Runtime], None]:
    """Something happens whenever a cut-off is taken in the half minute from 00:02 on."""

    def prepare(runtime: Runtime) -> None:
        real = runtime.store.tape.held

        def held() -> Any:
            if START + 2 * MINUTE <= runtime.clock.now() < START + 2.5 * MINUTE:
                what(runtime)
            return real()

        runtime.store.tape.held = held  # type: ignore[method-assign]

    return prepare


def away(_: Runtime) -> None:
    raise OperationalError("select", {}, Exception("server closed the connection"))


def slow(_: Runtime) -> None:
    time.sleep(0.2)  # 12 s of this clock; a cycle may begin 7 s after its instant


@pytest.mark.parametrize(
    ("what", "reason"), [(away, "the database was away"), (slow, "could not start in time")], ids=["away", "slow"]
)
def test_what_fails_or_is_late_costs_its_own_cycle_alone(
    made: Make, what: Callable[[Runtime], None], reason: str
) -> None:
    here = made()
    run_simulated(here, EARLY, START + 3.9 * MINUTE, prepare=at_two_past(what))
    found = cycles(here)
    assert [row.status for row in found] == ["PERFORMED", "PERFORMED", "MISSED", "PERFORMED"]
    assert reason in found[2].reason


def test_a_correction_given_before_the_cut_off_is_in_the_input(made: Make) -> None:
    values = {"open": 5.0, "high": 5.0, "low": 5.0, "close": 5.0, "volume": 1.0}

    def correct(runtime: Runtime) -> None:
        series = str(runtime.store.tape.series()[0])
        carry_out(runtime, Request("correct", "a fat finger", "test", at=START, series=series, values=values))

    here = made()
    # An order takes a while where a machine is busy: at this speed a cycle may begin 350 real milliseconds late.
    run_simulated(here, START - 1.5 * MINUTE, START + 3.5 * MINUTE, speed=20, prepare=at_two_past(correct))
    with open_runtime(here) as runtime:
        inputs = runtime.store.inputs.of(here.windows.at(START))
        seen = [b'"close":5.0' in inputs[START + n * MINUTE].payload for n in range(4)]
        assert seen == [False, False, True, True]
        assert audit(runtime.store.database, START + 4 * MINUTE) == []


def test_a_pause_is_kept_and_who_comes_late_records_what_nobody_ran(made: Make) -> None:
    here = made()
    with open_runtime(here) as runtime:
        runtime.__dict__["clock"] = runtime.clock
        carry_out(runtime, Request("pause", "maintenance", "test", at=START + 8 * MINUTE))
        carry_out(runtime, Request("resume", "done", "test", at=START + 9 * MINUTE))
    run_simulated(here, START + 1.5 * MINUTE, START + 9.9 * MINUTE)
    found = [(row.status, row.reason) for row in cycles(here)]
    late = [one for one in found if one == ("MISSED", "no live run was at work")]
    warming = [one for one in found if "(nothing yet)" in str(one[1])]  # at work, and the history still on its way
    assert len(late) >= 2 and len(late) + len(warming) < 8
    assert found == [
        *late,
        *warming,
        *[("PERFORMED", None)] * (8 - len(late) - len(warming)),
        ("MISSED", "paused: maintenance"),
        ("PERFORMED", None),
    ]
