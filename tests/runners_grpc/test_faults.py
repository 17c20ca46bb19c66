"""Every way in which a model can misbehave over gRPC, beside a good one whose answers all arrive in time."""

import math
import time
from collections.abc import Iterator

import pytest
from standing_in import GOOD, HEAD, Standing, write

from coordinator_dagster.runners import grpc_runner
from coordinator_dagster.runners.base import Answer, ModelInfo

TIMEOUT = 0.5
FAULTS = {
    "slow": "slow=0.7",
    "slow_tick": "slow=0.7@tick",
    "crash": "crash",
    "garbage": "garbage",
    "unknown": "unknown-type",
    "error": "error",
    "bad": "bad-implementation",
    "invalid": "invalid-argument",
    "none": "none",
    "nan": "nan",
    "text": "text",
    "busy": "busy",
    "setup_bad": "setup-bad",
    "setup_failed": "setup-failed",
    "setup_slow": "setup-slow=2",
    "dead": "dead",
}
SOURCES = {
    "raises": GOOD.replace("return", "raise ValueError('no idea'); return"),
    "tick": GOOD.replace("self.data, self.ticks = data, self.ticks + 1", "self.data = data; raise KeyError('candles')"),
    "long": GOOD.replace("{'value': self.data['n'] + horizon}", "{'value': 'x' * 1_100_000}"),
    "longer": GOOD.replace("{'value': self.data['n'] + horizon}", "{'value': 'x' * 5_000_000}"),
    "deep": HEAD + "    def predict(self, asset, horizon, step): return [[[]]] * 3\n",
    "table": "import pandas\n" + GOOD.replace("{'value': self.data['n'] + horizon}", "pandas.DataFrame({'a': [1]})"),
    "float32": "import numpy\n" + GOOD.replace("self.data['n'] + horizon", "numpy.float32(0.5)"),
}
INSTANTS = 5

History = list[dict[str, Answer]]


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    models = write(tmp_path_factory.mktemp("models"), good=GOOD, **dict.fromkeys(FAULTS, GOOD), **SOURCES)
    it = Standing(models, FAULTS)
    yield it
    it.close()


@pytest.fixture(scope="module")
def history(standing: Standing) -> History:
    """What all answered at five instants; `dead` took part before."""
    dead = ModelInfo(standing.ids["dead"], "dead", "old", "p", "p")
    found = []
    with pytest.MonkeyPatch.context() as patch, standing.runner([dead], timeout=TIMEOUT) as runner:
        patch.setattr(grpc_runner, "FIRST_SECONDS", 1.0)
        runner.fresh()
        for n in range(INSTANTS):
            began = time.monotonic()
            found.append(standing.ask(runner, TIMEOUT, n=n))
            assert time.monotonic() - began < TIMEOUT + 0.4
            time.sleep(0.6)  # a late answer of one instant does not reach into the next
            runner.rest()
    return found


def of(history: History, name: str) -> list[tuple[str, str]]:
    return [(one[name].status, one[name].reason or "") for one in history]


def test_the_good_model_answers_every_instant_in_time(history: History) -> None:
    answers = [one["good"] for one in history]
    assert [one.output for one in answers] == [{"value": n + 60} for n in range(INSTANTS)]
    assert {one.status for one in answers} == {"SUCCESS"} and {one.reason for one in answers} == {None}
    assert all(one.elapsed < TIMEOUT for one in answers), [one.elapsed for one in answers]
    assert all(0 < (one.exec_time_ms or 0) <= one.elapsed * 1000 and (one.queued_ms or 0) >= 0 for one in answers)


def test_odd_values_pass_as_they_are(history: History) -> None:
    last = history[-1]
    assert (last["none"].status, last["none"].output) == ("SUCCESS", None)
    assert last["nan"].status == "SUCCESS" and math.isnan(last["nan"].output["path"][0])
    assert (last["text"].status, last["text"].output) == ("SUCCESS", "not an object")
    assert (last["deep"].status, last["deep"].output) == ("SUCCESS", [[[]], [[]], [[]]])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("error", "fault: error"),
        ("raises", "the model raised: no idea"),
        ("garbage", "the answer cannot be read: UnicodeDecodeError"),
        ("unknown", "the answer cannot be read: ValueError: Unsupported data type"),
        ("long", "the answer is too long: 1100013 bytes; an instant's may have 1048576"),
        ("longer", "the answer is too long: "),
        ("table", "the answer is not JSON: a DataFrame is not JSON"),
        ("float32", "not JSON serializable"),
        ("invalid", "INVALID_ARGUMENT: fault: invalid-argument"),
    ],
)
def test_what_a_model_did_fails_its_answer_and_says_why(history: History, name: str, words: str) -> None:
    for status, reason in of(history, name):
        assert status == "FAILED" and words in reason, reason


def test_predict_is_called_although_tick_raised(history: History) -> None:
    assert {one["tick"].status for one in history} == {"SUCCESS"}
    assert history[0]["tick"].reason == "tick: the model raised: 'candles'"


def test_a_slow_model_times_out_and_is_spared_at_its_own_cost(history: History) -> None:
    slow = of(history, "slow")
    assert {status for status, _ in slow} == {"TIMEOUT"}
    assert slow[0][1] == "no answer within 0.5 s"
    assert any("not asked, as it did not answer before: PREEMPTIVE_SKIP" in reason for _, reason in slow), slow
    assert of(history, "slow_tick")[0] == (
        "TIMEOUT",
        "no answer within 0.5 s; tick: DEADLINE_EXCEEDED: Deadline Exceeded",
    )


def test_a_busy_node_is_the_models_from_the_second_instant_on(history: History) -> None:
    first, *others = of(history, "busy")
    assert first[0] == "PLATFORM_FAULT" and "perhaps with a call that another run made" in first[1]
    assert {status for status, _ in others} == {"TIMEOUT"}


def test_a_model_whose_process_dies_fails_and_is_absent_from_then_on(history: History) -> None:
    first, *others = of(history, "crash")
    assert first[0] == "FAILED" and first[1].startswith("its node died or cannot be reached"), first
    for status, reason in others:
        assert status == "ABSENT" and reason.startswith("STOPPED since ") and ", last asked at 20" in reason, reason


def test_a_bad_implementation_fails_and_is_reported(history: History, standing: Standing) -> None:
    first, *others = of(history, "bad")
    assert first == ("FAILED", "BAD_IMPLEMENTATION: fault: bad-implementation")
    for status, reason in others:
        assert status == "FAILED" and "BAD_IMPLEMENTATION" in reason, reason
    reported = {(standing.names[one["model_id"]], one["failure_code"]) for one in standing.it.reports}
    assert ("bad", "BAD_IMPLEMENTATION") in reported and ("setup_failed", "MULTIPLE_FAILED") in reported


@pytest.mark.parametrize(("name", "code"), [("setup_bad", "BAD_IMPLEMENTATION"), ("setup_failed", "MULTIPLE_FAILED")])
def test_a_model_that_cannot_be_set_up_fails_from_its_first_instant(history: History, name: str, code: str) -> None:
    for status, reason in of(history, name):
        assert status == "FAILED" and reason.startswith(f"not taken part since: {code}"), reason


def test_a_newcomer_whose_setup_is_slow_joins_when_it_is_ready(history: History) -> None:
    there = ["setup_slow" in one for one in history]
    assert there == sorted(there) and not there[0] and there[-1]
    assert {one["setup_slow"].status for one in history if "setup_slow" in one} == {"SUCCESS"}


def test_a_dead_node_of_a_known_model_is_absent_and_holds_up_nobody(history: History) -> None:
    for status, reason in of(history, "dead"):
        assert status == "ABSENT" and reason.startswith("being connected since "), reason
