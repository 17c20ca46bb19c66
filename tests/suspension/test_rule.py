"""Who is suspended, until when and why: a function of what is stored of the window, and of nothing else."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator_dagster.stages.suspension import Said, SuspensionRule, Suspensions

START = datetime(2026, 1, 5, tzinfo=UTC)
MINUTE, END = timedelta(minutes=1), START + timedelta(hours=1)
RULE = SuspensionRule(failures=3, timeouts=2, length=10 * MINUTE)
STATUSES = ("SUCCESS", "LATE", "FAILED", "TIMEOUT", "ABSENT", "PLATFORM_FAULT")
CODES = {"F": "FAILED", "T": "TIMEOUT", "S": "SUCCESS", "L": "LATE", "A": "ABSENT", "P": "PLATFORM_FAULT"}


def said(code: str, deployment: str = "1", reason: str = "it raised", model: str = "m") -> Said:
    return Said(model, CODES[code], "" if code == "S" else reason, deployment)


def told(*instants: str, rule: SuspensionRule = RULE, first: int = 0) -> Suspensions:
    """A minute a string, each letter the answer for a config."""
    suspensions = Suspensions(rule, END)
    for place, codes in enumerate(instants):
        suspensions.tell(START + (first + place) * MINUTE, [said(code) for code in codes])
    return suspensions


def suspended(suspensions: Suspensions, minute: float, deployment: str = "1") -> bool:
    return "m" in suspensions.at(START + minute * MINUTE, {"m": deployment})


@pytest.mark.parametrize(
    ("instants", "expected"),
    [
        ("F F F", True),
        ("F F", False),
        ("T T", True),
        ("T F", False),
        ("T F T", True),  # three that failed, though no two timeouts in a row
        ("F F S F", False),
        ("F F L F", False),
        ("F F A P F", True),  # what is not the model's doing neither counts nor makes good
        ("T A P T", True),
        ("FF FF", False),  # one instant each, however many configs are due
        ("FS FS FS FS", False),
        ("FP FA F", True),
        ("FT FT", True),
        ("A A A A", False),
        ("P P P P", False),
    ],
)
def test_what_counts(instants: str, expected: bool) -> None:
    suspensions = told(*instants.split())
    assert suspended(suspensions, len(instants.split())) is expected


def test_it_is_asked_again_after_the_stated_time_with_a_clean_counter() -> None:
    suspensions = told("F", "F", "F")
    assert [suspended(suspensions, minute) for minute in (3, 11, 11.99, 12)] == [True, True, True, False]
    for minute, code in ((12, "F"), (13, "F")):
        suspensions.tell(START + minute * MINUTE, [said(code)])
        assert not suspended(suspensions, minute + 1)
    suspensions.tell(START + 14 * MINUTE, [said("F")])
    assert suspended(suspensions, 15) and not suspended(suspensions, 24)


def test_it_ends_with_the_window() -> None:
    found = told("F", "F", "F", first=55).at(START + 58 * MINUTE, {"m": "1"})["m"]
    assert found.until == END


def test_the_reason_is_one_that_a_participant_understands() -> None:
    suspensions = Suspensions(RULE, END)
    for minute, why in enumerate(("first", "second", "ValueError: no (main.py:7)")):
        suspensions.tell(START + minute * MINUTE, [said("F", reason=why)])
    found = suspensions.at(START + 3 * MINUTE, {"m": "1"})["m"]
    assert found.reason == (
        "suspended until 2026-01-05T00:12Z: 3 instants in a row failed, the last: ValueError: no (main.py:7)"
    )
    assert found.meta == {
        "reason": found.reason,
        "suspension": {
            "since": "2026-01-05T00:02:00+00:00",
            "until": "2026-01-05T00:12:00+00:00",
            "instants": 3,
            "kind": "FAILED",
        },
    }
    timed_out = told("T", "T", rule=SuspensionRule(3, 2, timedelta(seconds=90)))
    reason = timed_out.at(START + 2 * MINUTE, {"m": "1"})["m"].reason
    assert reason.startswith("suspended until 2026-01-05T00:02:30Z: 2 instants in a row timed out, the last: it raised")
    long = Suspensions(SuspensionRule(1, 0, MINUTE), END)
    long.tell(START, [said("F", reason="x" * 5000)])
    assert len(long.at(START + MINUTE / 2, {"m": "1"})["m"].reason) < 400


def test_of_several_reasons_the_same_is_named_whoever_tells_them() -> None:
    last = []
    for order in (["a", "b"], ["b", "a"]):
        suspensions = Suspensions(SuspensionRule(1, 0, MINUTE), END)
        suspensions.tell(START, [said("F", reason=reason) for reason in order])
        last.append(suspensions.at(START + MINUTE / 2, {"m": "1"})["m"].last)
    assert last == ["a", "a"]


def test_another_deployment_is_asked_at_once_and_begins_anew() -> None:
    suspensions = told("F", "F", "F")
    assert suspended(suspensions, 4) and not suspended(suspensions, 4, deployment="2")
    suspensions.tell(START + 4 * MINUTE, [said("F", "2")])
    suspensions.tell(START + 5 * MINUTE, [said("F", "2")])
    assert not suspended(suspensions, 6, deployment="2")
    assert not suspended(suspensions, 6, deployment="1"), "the other one has answered since"
    suspensions.tell(START + 6 * MINUTE, [said("F", "2")])
    assert suspended(suspensions, 7, deployment="2")


def test_zero_is_never() -> None:
    assert not suspended(told(*["F"] * 50, rule=SuspensionRule(0, 2, MINUTE)), 50)
    assert not suspended(told(*["T"] * 2, rule=SuspensionRule(3, 0, MINUTE)), 2)
    assert suspended(told(*["T"] * 3, rule=SuspensionRule(3, 0, 2 * MINUTE)), 3)


def test_models_do_not_touch_each_other_and_only_those_named_are_found() -> None:
    suspensions = Suspensions(RULE, END)
    for minute in range(3):
        answers = [said("F"), said("S", model="good"), said("F", model="gone")]
        suspensions.tell(START + minute * MINUTE, answers)
    assert set(suspensions.at(START + 3 * MINUTE, {"m": "1", "good": "1", "new": "1"})) == {"m"}


def test_instants_come_in_their_order() -> None:
    suspensions = told("F", "F")
    with pytest.raises(ValueError, match=r"00:01:00.*was told after.*00:01:00"):
        suspensions.tell(START + MINUTE, [said("F")])


Instants = Sequence[Sequence[Said]]
answers = st.builds(
    Said,
    st.sampled_from("ab"),
    st.sampled_from(STATUSES),
    st.sampled_from(["x", "y"]),
    st.sampled_from(["1", "1", "1", "2"]),
)
windows = st.lists(st.lists(answers, max_size=4), max_size=60)
rules = st.builds(
    SuspensionRule, st.integers(0, 4), st.integers(0, 3), st.integers(30, 3000).map(lambda n: timedelta(seconds=n))
)


def performed(rule: SuspensionRule, script: Instants, restarts: frozenset[int] = frozenset()) -> list[list[Said]]:
    """What is stored of a window; at `restarts` another run goes on, which knows only that. Answers by script."""
    suspensions, stored = Suspensions(rule, END), []
    for place, scripted in enumerate(script):
        t = START + place * MINUTE
        if place in restarts:
            suspensions = Suspensions(rule, END.astimezone(timezone(timedelta(hours=5))))
            for earlier, one in enumerate(stored):
                moment = (START + earlier * MINUTE).astimezone(timezone(timedelta(hours=-3)))
                suspensions.tell(moment, reversed(one))
        deployments = {one.model_id: one.deployment or "" for one in scripted}
        out = suspensions.at(t, deployments)
        new = [one for one in scripted if one.model_id not in out]
        new += [Said(model, "SUSPENDED", why.reason, deployments[model]) for model, why in out.items()]
        suspensions.tell(t, new)
        stored.append(new)
    return stored


@settings(max_examples=300, deadline=None)
@given(rules, windows, st.frozensets(st.integers(0, 59), max_size=4))
def test_who_goes_on_with_the_window_suspends_the_same(
    rule: SuspensionRule, script: Instants, restarts: frozenset[int]
) -> None:
    assert performed(rule, script, restarts) == performed(rule, script)


@settings(max_examples=300, deadline=None)
@given(rules, windows)
def test_a_suspension_follows_enough_failures_and_ends_in_time(rule: SuspensionRule, script: Instants) -> None:
    suspensions = Suspensions(rule, END)
    for place, one in enumerate(performed(rule, script)):
        t = START + place * MINUTE
        for found in suspensions.at(t, {"a": "1", "b": "1"}).values():
            most = rule.timeouts if found.kind == "TIMEOUT" else rule.failures
            assert 0 < most <= found.instants <= (found.since - START) / MINUTE + 1
            assert found.since < t < found.until <= min(END, found.since + rule.length)
        suspensions.tell(t, one)


@settings(max_examples=200, deadline=None)
@given(rules, windows)
def test_who_answers_at_least_now_and_then_is_never_suspended(rule: SuspensionRule, script: Instants) -> None:
    most = min([one for one in (rule.failures, rule.timeouts) if one], default=1)
    often = [[*one, said("S", model="a")] if place % most == most - 1 else one for place, one in enumerate(script)]
    for one in performed(rule, often):
        assert ("a", "SUSPENDED") not in {(each.model_id, each.status) for each in one}
