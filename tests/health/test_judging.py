"""What is found in readings, and what is not."""

from dataclasses import replace
from datetime import timedelta

import pytest

from coordinator_dagster.cli.status_screen import screen
from coordinator_dagster.competition import Competition
from coordinator_dagster.health.finding import span
from coordinator_dagster.health.judging import healthy, judge
from coordinator_dagster.health.readings import Dagster, Readings
from tests.health.standing import CASES, CONTEST, HEALTHY, STILL_HEALTHY, Case, contest, cycles


@pytest.mark.parametrize("case", CASES, ids=lambda one: one.name)
def test_each_thing_that_is_wrong_is_found_alone(case: Case, live: Competition) -> None:
    found = judge(live, case.readings)
    assert {one.what for one in found} == {case.what, *case.also}
    [finding] = [one for one in found if one.what == case.what]
    assert finding.severity == case.severity
    assert healthy(found) == (case.severity == "warning")
    assert finding.why and finding.remedy


@pytest.mark.parametrize("readings", STILL_HEALTHY.values(), ids=list(STILL_HEALTHY))
def test_what_is_well_or_meant_so_is_not(readings: Readings, live: Competition) -> None:
    assert judge(live, readings) == []


def test_a_replay_has_no_present(live: Competition) -> None:
    made = replace(live, settings=live.settings.model_copy(update={"mode": "replay"}))
    for case in CASES:
        found = {one.what for one in judge(made, case.readings)}
        present = {"live run", "waiting run", "overdue", "missed", "tape", "board", "begun", "answers"}
        assert not found & present, case.name
    assert judge(made, HEALTHY) == []


def test_what_is_critical_comes_first_and_numbers_are_said(live: Competition) -> None:
    found = judge(live, replace(cycles(missed=3, missed_lately=2, reason="it was late"), disk_free=3_000_000_000))
    assert [one.what for one in found] == ["missed", "disk"]
    assert "3 of 63 cycles" in found[0].why and "it was late" in found[0].why


def test_a_moment_without_a_waiting_run_is_told_only_where_one_works(live: Competition) -> None:
    assert [one.what for one in judge(live, contest(at_work=None, waiting=CONTEST.waiting))] == ["live run"]


@pytest.mark.parametrize(("hours", "found"), [(2.9, []), (3.1, ["checks old"])])
def test_checks_that_never_were_count_from_the_start(live: Competition, hours: float, found: list[str]) -> None:
    now = live.start + timedelta(hours=hours)
    findings = judge(live, replace(HEALTHY, now=now, dagster=Dagster()))
    assert [one.what for one in findings] == found
    assert all("never evaluated" in one.why for one in findings)
    assert judge(live, replace(HEALTHY, now=now, dagster=None)) == [], "Dagster cannot be asked"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.42, "0.4 s"), (42, "42 s"), (119, "119 s"), (180, "3 min"), (9000, "2.5 h"), (400_000, "5 days")],
)
def test_spans_as_people_say_them(seconds: float, said: str) -> None:
    assert span(seconds) == said


@pytest.mark.parametrize("case", [*CASES, Case("well", HEALTHY, "", "")], ids=lambda one: one.name)
def test_the_screen_fits(case: Case, live: Competition) -> None:
    from rich.console import Console

    console = Console(width=80, record=True)
    console.print(screen(live, case.readings, judge(live, case.readings)))
    lines = console.export_text().splitlines()
    assert len(lines) <= 25 and max(map(len, lines)) <= 80
    assert "healthy" in lines[0]
    assert not case.what or "→" in "\n".join(lines)
