"""Whose fault it is, line by line of the table in docs/rules.md; what no stand-in can be made to do, too."""

from datetime import UTC, datetime
from typing import Any, cast

import pytest

pytest.importorskip("model_runner_client", reason="the extra `grpc` is not installed")

from coordinator_dagster.runners.base import ModelInfo
from coordinator_dagster.runners.grpc_asking import Asked, Instant
from coordinator_dagster.runners.grpc_judging import SETUP, TICK, Circumstances, judge, understood
from coordinator_dagster.runners.grpc_nodes import Said
from coordinator_dagster.runners.grpc_roster import Roster, Standing, info_of

BEGAN, TIMEOUT = 100.0, 10.0
TICKED = Said("SUCCESS", sent=100.0, ended=100.1)
LOST = "the orchestrator cannot be reached"
INFO = ModelInfo("1", "a", "d", "p", "p")


def around(calls: int = 1, **options: Any) -> Circumstances:
    instant = Instant(cast(Any, None), ([], []), [([], [])] * calls, BEGAN, TIMEOUT)
    return Circumstances(instant, BEGAN + TIMEOUT, **options)


def predicted(code: str, message: str = "", **options: Any) -> Asked:
    """A model whose tick was fine and whose predict came to this."""
    return Asked("d", TICKED, [Said(code, message, sent=100.2, **{"ended": 100.5, **options})])


@pytest.mark.parametrize(
    ("asked", "circumstances", "status"),
    [
        (predicted("SUCCESS"), {}, "SUCCESS"),
        (predicted("MODEL_FAILED", "no idea"), {"lost": LOST}, "FAILED"),
        (predicted("BAD_IMPLEMENTATION"), {}, "FAILED"),
        (predicted("UNREADABLE", "garbage"), {}, "FAILED"),
        (predicted("TOO_LONG", "5 MB"), {}, "FAILED"),
        (predicted("DEADLINE_EXCEEDED", ended=110.0), {"lost": LOST}, "TIMEOUT"),
        (predicted("UNANSWERED", ended=None), {}, "TIMEOUT"),
        (predicted("SKIPPED", "PREEMPTIVE_SKIP: 3"), {}, "TIMEOUT"),
        (predicted("RESOURCE_EXHAUSTED"), {}, "TIMEOUT"),
        (predicted("RESOURCE_EXHAUSTED"), {"first": True}, "PLATFORM_FAULT"),
        (predicted("UNAVAILABLE"), {}, "FAILED"),
        (predicted("UNAVAILABLE"), {"lost": LOST}, "PLATFORM_FAULT"),
        (predicted("DEADLINE_EXCEEDED", ended=110.0, reachable=False), {}, "FAILED"),
        (predicted("DEADLINE_EXCEEDED", ended=110.0, reachable=False), {"lost": LOST}, "PLATFORM_FAULT"),
        (predicted("CUT"), {}, "ABSENT"),
        (predicted("INVALID_ARGUMENT"), {"understood": {0}}, "FAILED"),
        (predicted("INVALID_ARGUMENT"), {"understood": ()}, "PLATFORM_FAULT"),
        (predicted("UNAUTHENTICATED"), {"understood": {0}}, "FAILED"),
        (predicted("UNAUTHENTICATED"), {"understood": ()}, "PLATFORM_FAULT"),
        (predicted("CLIENT", "AttributeError"), {}, "PLATFORM_FAULT"),
    ],
)
def test_what_came_of_a_call(asked: Asked, circumstances: dict[str, Any], status: str) -> None:
    (answer,) = judge(asked, Standing(INFO), around(**circumstances))
    assert answer.status == status
    assert bool(answer.reason) == (status != "SUCCESS"), "whoever is not answered is told why"


@pytest.mark.parametrize(("sent", "status"), [(100.5, "TIMEOUT"), (101.5, "PLATFORM_FAULT")])
def test_a_call_that_we_sent_late_is_our_fault(sent: float, status: str) -> None:
    asked = Asked("d", Said("DEADLINE_EXCEEDED", sent=sent, ended=110.0))
    (answer,) = judge(asked, Standing(INFO), around())
    assert answer.status == status, answer
    assert status == "TIMEOUT" or "of the 10 s that it had, our own queueing took 1.500 s" in (answer.reason or "")


def test_waiting_for_a_new_deployment_is_not_our_queueing() -> None:
    asked = Asked("d", Said("DEADLINE_EXCEEDED", sent=102.0, ended=110.0), waited=2.0)
    assert judge(asked, Standing(INFO), around())[0].status == "TIMEOUT"


def test_whose_turn_never_came_is_judged_by_what_took_the_time() -> None:
    slow = Asked("d", TICKED, [Said("SUCCESS", value=1, sent=100.2, ended=110.0)])
    assert [one.status for one in judge(slow, Standing(INFO), around(2))] == ["SUCCESS", "TIMEOUT"]
    dead = Asked("d", Said("DEADLINE_EXCEEDED", sent=100.0, ended=110.0, reachable=False))
    assert [one.status for one in judge(dead, Standing(INFO), around(2))] == ["FAILED", "FAILED"]
    ours = Asked("d", TICKED, [Said("SUCCESS", value=1, sent=104.0, ended=110.0)])
    assert [one.status for one in judge(ours, Standing(INFO), around(2))] == ["SUCCESS", "PLATFORM_FAULT"]


def test_times_are_the_models_own_and_ours() -> None:
    asked = Asked(
        "d", TICKED, [Said("SUCCESS", value=1, sent=100.2, ended=100.5), Said("MODEL_FAILED", "x", None, 101, 103)]
    )
    first, second = judge(asked, Standing(INFO), around(2))
    assert (first.elapsed, first.exec_time_ms, first.queued_ms) == pytest.approx((0.5, 300, 100))
    assert (second.elapsed, second.exec_time_ms, second.queued_ms) == pytest.approx((3.0, 2000, 600))


@pytest.mark.parametrize(
    ("state", "trouble", "circumstances", "status", "words"),
    [
        ("STOPPED", None, {}, "ABSENT", "STOPPED since 2026-01-05 00:00:00 UTC, last asked at 2026-01-04"),
        ("RECOVERING", None, {}, "ABSENT", "RECOVERING since"),
        ("GONE", None, {}, "ABSENT", "not listed by the orchestrator since"),
        ("RUNNING", None, {}, "ABSENT", "being connected since"),
        ("RUNNING", None, {"connecting": True}, "PLATFORM_FAULT", "our connection to the orchestrator is new"),
        ("STOPPED", None, {"connecting": True}, "ABSENT", "STOPPED since"),
        ("RUNNING", ("CONNECTION_FAILED", ""), {}, "ABSENT", "its node could not be reached"),
        ("RUNNING", ("BAD_IMPLEMENTATION", ""), {}, "FAILED", "not taken part since: BAD_IMPLEMENTATION, last"),
        ("STOPPED", ("MULTIPLE_TIMEOUT", ""), {}, "FAILED", "MULTIPLE_TIMEOUT"),
        ("RUNNING", ("USAGE", "className"), {}, "FAILED", "USAGE: className"),
        ("RUNNING", ("USAGE", "className"), {"understood": ()}, "PLATFORM_FAULT", "USAGE: className"),
        ("STOPPED", None, {"lost": LOST}, "PLATFORM_FAULT", LOST),
        ("RUNNING", ("CONNECTION_FAILED", ""), {"lost": LOST}, "PLATFORM_FAULT", LOST),
    ],
)
def test_a_model_without_a_node(
    state: str, trouble: tuple[str, str] | None, circumstances: dict[str, Any], status: str, words: str
) -> None:
    since, seen = datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 1, 4, tzinfo=UTC)
    found = judge(Asked(present=False), Standing(INFO, state, since, trouble, seen), around(2, **circumstances))
    assert {one.status for one in found} == {status} and len(found) == 2
    assert words in (found[0].reason or "")


def test_a_call_that_one_node_understood_is_as_it_should_be() -> None:
    invalid = Said("INVALID_ARGUMENT", sent=1, ended=2)
    assert understood([Asked(present=False)]) == set()
    assert understood([Asked("d", invalid, [invalid])]) == {SETUP}
    assert understood([Asked("d", TICKED, [invalid]), Asked("d", TICKED, [invalid, TICKED])]) == {SETUP, TICK, 1}
    asked = Asked("d", TICKED, [invalid, invalid])
    found = judge(asked, Standing(INFO), around(2, understood={SETUP, TICK, 1}))
    assert [one.status for one in found] == ["PLATFORM_FAULT", "FAILED"]


def message(state: str, deployment: str) -> dict[str, Any]:
    return {"model_id": "1", "deployment_id": deployment, "state": state, "infos": {"cruncher_id": "w"}}


def test_that_an_older_deployment_was_stopped_is_no_news() -> None:
    roster = Roster()
    roster.announced(message("RUNNING", "new"))
    roster.announced(message("STOPPED", "old"))
    assert roster.standings["1"].state == "RUNNING"
    roster.announced(message("STOPPED", "new"))
    assert roster.standings["1"].state == "STOPPED"


def test_a_new_deployment_is_not_blamed_for_the_old_ones_trouble() -> None:
    roster, old, new = Roster(), message("RUNNING", "old"), message("RUNNING", "new")
    roster.announced(old)
    roster.troubled(info_of(old), "MULTIPLE_TIMEOUT", "")
    roster.announced(old)
    assert roster.standings["1"].trouble == ("MULTIPLE_TIMEOUT", "")
    roster.announced(new)
    assert roster.standings["1"].trouble is None
    roster.troubled(info_of(old), "CONNECTION_FAILED", "")
    assert roster.standings["1"].trouble is None
