"""Models that come, go and change, and an orchestrator that does: who is asked, and whose fault an absence is."""

import gc
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from standing_in import CALL, GOOD, Standing, statuses, until, write

from coordinator_dagster.cli.doctor import orchestrator
from coordinator_dagster.errors import UserError
from coordinator_dagster.runners import grpc_connection, grpc_runner
from coordinator_dagster.runners.base import Call, ModelInfo
from coordinator_dagster.runners.grpc_nodes import Node
from coordinator_dagster.runners.grpc_runner import GrpcRunner, Orchestrator
from coordinator_dagster.settings import Settings
from slots.tracker import TrackerBase

Make = Callable[..., Standing]
SLEEPS = GOOD.replace("return", "import time; time.sleep(0.5); return")
TICKS = GOOD.replace("{'value': self.data['n'] + horizon}", "{'value': self.ticks}")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tried again, is tried again soon."""
    monkeypatch.setattr(grpc_runner, "FIRST_SECONDS", 1.0)
    monkeypatch.setattr(grpc_connection, "PAUSE_SECONDS", 0.1)
    monkeypatch.setattr(grpc_connection, "AGAIN_SECONDS", 0.2)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """An orchestrator over models given as `name=source of main.py`; closed afterwards."""
    made: list[Standing] = []

    def build(faults: dict[str, str] | None = None, **models: str) -> Standing:
        made.append(Standing(write(tmp_path / "models", **models), faults))
        return made[-1]

    yield build
    for one in made:
        one.close()


def connected(runner: GrpcRunner, id_: str) -> Node | None:
    """The model's node, when it is connected."""
    assert runner._connection
    return runner._connection.client.model_cluster.node(id_)


def info(standing: Standing, name: str, player: str = "p") -> ModelInfo:
    return ModelInfo(standing.ids[name], name, "old", player, player)


def test_a_model_is_known_by_its_stable_ids(make: Make) -> None:
    standing = make(a=GOOD)
    with standing.runner() as runner:
        assert runner.models() == []
        runner.fresh()
        deployment = standing.it.deployments["1"].deployment_id
        assert runner.models() == [ModelInfo("1", "a", deployment, "wallet-a", "cruncher-a")]


def test_a_stopped_model_is_absent_and_comes_back(make: Make) -> None:
    standing = make(a=GOOD, good=GOOD)
    with standing.runner() as runner:
        assert statuses(standing.ask(runner)) == {"a": "SUCCESS", "good": "SUCCESS"}
        standing.stop("a")
        until(lambda: not connected(runner, "1"))
        gone = standing.ask(runner)
        assert statuses(gone) == {"a": "ABSENT", "good": "SUCCESS"}
        assert gone["a"].reason.startswith("STOPPED since 20") and "last asked at 20" in gone["a"].reason
        assert [one.name for one in runner.models()] == ["a", "good"]
        standing.start("a")
        until(lambda: connected(runner, "1"))
        assert statuses(standing.ask(runner)) == {"a": "SUCCESS", "good": "SUCCESS"}


def test_a_model_that_recovers_is_absent_at_its_own_cost(make: Make) -> None:
    standing = make(a=GOOD, good=GOOD)
    with standing.runner() as runner:
        runner.fresh()
        standing.say("a", "RECOVERING")
        until(lambda: not connected(runner, "1"))
        found = standing.ask(runner)
        assert statuses(found) == {"a": "ABSENT", "good": "SUCCESS"}
        assert found["a"].reason.startswith("RECOVERING since")


def test_a_newcomer_takes_part_once_the_instant_is_stored(make: Make) -> None:
    standing = make({"b": "dead"}, a=GOOD, b=GOOD)
    standing.stop("b")
    with standing.runner() as runner:
        runner.fresh()
        assert [one.name for one in runner.models()] == ["a"] and not runner.rest()
        standing.start("b")
        until(lambda: connected(runner, "2"))
        assert list(standing.ask(runner)) == ["a"], "its row is not in the table of models yet"
        assert runner.rest() and [one.name for one in runner.models()] == ["a", "b"]
        assert statuses(standing.ask(runner)) == {"a": "SUCCESS", "b": "SUCCESS"}
        assert not runner.rest()


def test_a_new_name_is_taken_up_at_rest(make: Make) -> None:
    standing = make(a=GOOD)
    with standing.runner() as runner:
        runner.fresh()
        standing.say("a", model_name="b\0", cruncher_name="someone")
        until(runner.rest)
        (model,) = runner.models()
        assert (model.id, model.name, model.player_id, model.player_name) == ("1", "b ", "wallet-a", "someone")
        assert statuses(standing.ask(runner)) == {"a": "SUCCESS"}, "the node stays connected"


def test_a_redeploy_under_a_call_is_asked_anew_at_its_new_node(make: Make) -> None:
    standing = make(a=SLEEPS, good=GOOD)
    with standing.runner() as runner:
        runner.fresh()
        before = runner.models()[0].deployment
        redeploy = threading.Timer(0.2, standing.redeploy, ["a"])
        redeploy.start()
        found = standing.ask(runner)
        redeploy.join()
        assert statuses(found) == {"a": "SUCCESS", "good": "SUCCESS"}
        assert 0.6 < found["a"].elapsed < 3 and found["good"].elapsed < 0.3
        assert runner.models()[0].deployment == standing.it.deployments["1"].deployment_id != before
        assert runner.rest(), "the table of models gets the new deployment"


@pytest.mark.parametrize("first", ["setup-slow=0.5", "dead"])
def test_of_two_deployments_the_last_one_is_asked(make: Make, first: str) -> None:
    standing = make(a=GOOD)
    with standing.runner() as runner:
        runner.fresh()
        standing.deploy_twice("a", first)
        last = standing.it.deployments["1"].deployment_id
        until(lambda: (node := connected(runner, "1")) and node.deployment_id == last)
        time.sleep(0.6)
        node = connected(runner, "1")
        assert node and node.deployment_id == last
        assert statuses(standing.ask(runner)) == {"a": "SUCCESS"}


def test_a_model_stopped_while_it_is_set_up_is_not_asked(make: Make) -> None:
    standing = make({"b": "dead"}, a=GOOD, b=GOOD)
    with standing.runner([info(standing, "b")]) as runner:
        runner.fresh()
        assert statuses(standing.ask(runner)) == {"a": "SUCCESS", "b": "ABSENT"}
        standing.stop("b")
        until(lambda: runner._connection and not runner._connection.client.model_cluster.coming("2"))
        assert standing.ask(runner)["b"].reason.startswith("STOPPED since")


def test_that_we_have_only_just_connected_is_no_models_fault(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    standing = make({"b": "setup-slow=2"}, a=GOOD, b=GOOD)
    with standing.runner([info(standing, "b")]) as runner:
        runner.fresh()
        monkeypatch.setattr(grpc_runner, "FIRST_SECONDS", 10.0)
        found = standing.ask(runner, 0.2)
        assert statuses(found) == {"a": "SUCCESS", "b": "PLATFORM_FAULT"}


def test_a_model_stopped_under_a_call_is_absent(make: Make) -> None:
    standing = make(a=SLEEPS, good=GOOD)
    with standing.runner() as runner:
        runner.fresh()
        standing_down = threading.Timer(0.2, standing.stop, ["a"])
        standing_down.start()
        found = standing.ask(runner)
        standing_down.join()
        # The node dies first, then the orchestrator says so: either may be seen.
        assert found["a"].status in ("FAILED", "ABSENT") and found["good"].status == "SUCCESS"


def test_a_dead_newcomer_holds_up_nobodys_redeploy(make: Make) -> None:
    standing = make({"b": "dead"}, a=GOOD, b=GOOD)
    with standing.runner() as runner:
        runner.fresh()
        standing.start("a")
        until(
            lambda: (
                (node := connected(runner, "1")) and node.deployment_id == standing.it.deployments["1"].deployment_id
            )
        )
        assert statuses(standing.ask(runner)) == {"a": "SUCCESS"}


def test_a_node_that_has_forgotten_its_model_is_set_up_anew(make: Make) -> None:
    standing = make(a=TICKS)
    with standing.runner() as runner:
        assert standing.ask(runner)["a"].output == {"value": 1}
        standing.it.deployments["1"].servicer.instance = None
        assert standing.ask(runner)["a"].output == {"value": 1}


def test_state_at_a_node_outlives_fresh_and_the_runner(make: Make) -> None:
    standing = make(a=TICKS)
    for n in (1, 3):
        with standing.runner() as runner:
            assert standing.ask(runner)["a"].output == {"value": n}
            runner.fresh()
            assert standing.ask(runner)["a"].output == {"value": n + 1}


def test_skipped_models_are_not_asked(make: Make) -> None:
    standing = make(a=TICKS, b=TICKS)
    with standing.runner() as runner:
        runner.fresh()
        assert set(runner.ask(b"{}", [CALL], 5, skip={"1"})) == {"2"}
        assert runner.ask(b"{}", [CALL], 5)["1"][0].output == {"value": 1}


def test_all_calls_of_an_instant_are_one_models_time(make: Make) -> None:
    standing = make(a=SLEEPS, good=GOOD)
    with standing.runner() as runner:
        runner.fresh()
        calls = [Call(["BTC", h], {"step": 60, "colour": "red"}) for h in (60, 300, 900)]
        found = standing.ask(runner, 0.8, calls, n=1)
        assert [one.output for one in found["good"]] == [{"value": 61}, {"value": 301}, {"value": 901}]
        assert [one.status for one in found["a"]] == ["SUCCESS", "TIMEOUT", "TIMEOUT"], "it has 0.8 s for all"
        node = connected(runner, "1")
        assert node and node.consecutive_timeouts == 1, "the third is not begun"
        assert found["a"][1].elapsed < 1.1
        assert runner.ask(b"{}", [], 5) == {"1": [], "2": []}


def test_the_answers_of_an_instant_share_the_limit(make: Make) -> None:
    standing = make(a=GOOD.replace("{'value': self.data['n'] + horizon}", "'x' * 600_000"))
    with standing.runner() as runner:
        for _ in range(2):
            found = standing.ask(runner, 5, [CALL, CALL])["a"]
            assert [one.status for one in found] == ["SUCCESS", "FAILED"]
            assert found[1].reason == "the answer is too long: 600000 bytes; an instant's may have 1048576"


def test_without_time_nobody_is_asked(make: Make) -> None:
    standing = make(a=TICKS)
    with standing.runner() as runner:
        runner.fresh()
        assert standing.ask(runner, 0.0)["a"].status == "TIMEOUT"
        assert standing.ask(runner)["a"].output == {"value": 1}


def test_while_the_orchestrator_is_away_connected_models_are_asked_and_no_absence_is_charged(make: Make) -> None:
    standing = make(a=GOOD, good=GOOD, late=GOOD)
    with standing.runner() as runner:
        runner.fresh()
        standing.stop("late")
        until(lambda: not connected(runner, "3"))
        standing.go_away()
        until(lambda: runner._connection and runner._connection.lost())
        standing.it.deployments["1"].server.stop(0)  # who knows whether it was redeployed
        found = standing.ask(runner, 0.5)
        assert statuses(found) == {"a": "PLATFORM_FAULT", "good": "SUCCESS", "late": "PLATFORM_FAULT"}
        for name in ("a", "late"):
            assert "the orchestrator at ws://127.0.0.1" in found[name].reason, found[name]
        standing.come_back()
        standing.start("a")
        standing.start("late")
        until(lambda: connected(runner, "3"))
        until(
            lambda: (
                (node := connected(runner, "1")) and node.deployment_id == standing.it.deployments["1"].deployment_id
            )
        )
        assert set(statuses(standing.ask(runner)).values()) == {"SUCCESS"}


def test_a_connection_that_is_lost_for_a_part_of_an_instant_charges_no_absence(make: Make) -> None:
    standing = make(a=SLEEPS.replace("0.5", "1.5"), late=GOOD)
    with standing.runner() as runner:
        runner.fresh()
        standing.stop("late")
        until(lambda: not connected(runner, "2"))

        def restart() -> None:
            standing.go_away()
            standing.come_back()

        restarting = threading.Timer(0.1, restart)
        restarting.start()
        found = standing.ask(runner)
        restarting.join()
        assert runner._connection and not runner._connection.lost(), "it is back by now"
        assert statuses(found) == {"a": "SUCCESS", "late": "PLATFORM_FAULT"}
        assert standing.ask(runner)["late"].status == "ABSENT"


def test_an_orchestrator_that_names_nobody_charges_nobody(make: Make) -> None:
    standing = make(a=GOOD)
    with standing.runner([info(standing, "a")]) as runner:
        standing.stop("a")
        runner.fresh()
        found = standing.ask(runner)["a"]
        assert found.status == "PLATFORM_FAULT" and "names no model at all" in found.reason


def test_who_is_not_listed_among_others_is_absent(make: Make) -> None:
    standing = make(a=GOOD, good=GOOD)
    standing.stop("a")
    with standing.runner([info(standing, "a")]) as runner:
        found = standing.ask(runner)
        assert statuses(found) == {"a": "ABSENT", "good": "SUCCESS"}
        assert found["a"].reason.startswith("not listed by the orchestrator since")


def test_who_left_while_the_orchestrator_was_away_is_not_asked_any_more(make: Make) -> None:
    standing = make(a=GOOD, good=GOOD)
    with standing.runner() as runner:
        runner.fresh()
        standing.go_away()
        standing.it.deployments["1"].state = "STOPPED"  # its node goes on
        standing.come_back()
        until(lambda: not connected(runner, "1"))
        found = standing.ask(runner)
        assert statuses(found) == {"a": "ABSENT", "good": "SUCCESS"}
        assert found["a"].reason.startswith("not listed by the orchestrator since")


def nowhere(**options: bool) -> GrpcRunner:
    there = Orchestrator("127.0.0.1", 1, "test", "slots.tracker.TrackerBase", 5.0)
    return GrpcRunner(there, TrackerBase.predict, [ModelInfo("1", "a", "d", "p", "p")], **options)


def test_an_orchestrator_that_is_not_there_is_tried_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    with nowhere() as runner:
        runner.fresh()
        (found,) = runner.ask(b"{}", [CALL], 1)["1"]
        assert found.status == "PLATFORM_FAULT" and "ws://127.0.0.1:1/test cannot be reached" in (found.reason or "")
        until(lambda: sum("trying again in" in one.message for one in caplog.records) >= 4)
    pauses = [one.message.partition("again in ")[2] for one in caplog.records if "trying again in" in one.message]
    assert pauses[:4] == ["0.1 s, for ever", "0.2 s, for ever", "0.4 s, for ever", "0.8 s, for ever"]


def test_where_the_orchestrator_must_be_there_its_lack_is_an_error() -> None:
    with nowhere(must_connect=True) as runner, pytest.raises(UserError, match="mend MODEL_RUNNER_NODE_HOST"):
        runner.fresh()


def test_a_wrong_crunch_is_an_error_where_it_must_be_right(make: Make) -> None:
    standing = make(a=GOOD)
    standing.it.crunch_id = "test"
    with standing.runner(crunch_id="other", must_connect=True) as runner, pytest.raises(UserError, match="CRUNCH_ID"):
        runner.fresh()


def test_abort_ends_a_running_ask_at_once(make: Make) -> None:
    standing = make({"a": "slow=3"}, a=GOOD)
    with standing.runner() as runner:
        runner.fresh()
        threading.Timer(0.2, runner.abort).start()
        began = time.monotonic()
        (found,) = runner.ask(b"{}", [CALL], 10)["1"]
        assert time.monotonic() - began < 1 and found.status == "PLATFORM_FAULT"
        assert runner.ask(b"{}", [CALL], 10)["1"][0].reason == "the runner is being ended"


def test_close_leaves_no_thread_and_no_socket(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    standing = make({"dead": "dead", "slow": "slow=1"}, a=GOOD, dead=GOOD, slow=GOOD)
    ports = {standing.it.port, *(one.port for one in standing.it.deployments.values())}

    def ours() -> list[int]:
        links = psutil.Process().net_connections("tcp")
        return [one.raddr.port for one in links if one.raddr and one.raddr.port in ports]

    runner = standing.runner()
    runner.fresh()
    standing.ask(runner, 0.3)
    assert len(ours()) == 3, "the test sees the sockets that there are"
    runner.close()
    gc.collect()
    until(lambda: not ours())
    until(lambda: not any(one.name in ("model-runner-client",) for one in threading.enumerate()))
    assert [one.getMessage() for one in caplog.records if one.levelno >= logging.ERROR] == []


def test_an_instant_that_is_too_large_is_refused(make: Make) -> None:
    standing = make(a=GOOD)
    with standing.runner() as runner, pytest.raises(ValueError, match="16777216 are allowed"):
        runner.ask(json.dumps("x" * (16 << 20)).encode(), [CALL], 10)


def test_doctor_says_how_many_models_the_orchestrator_has(make: Make) -> None:
    standing = make({"dead": "dead"}, a=GOOD, dead=GOOD)
    there = {"model_runner": "grpc", "model_runner_node_host": "127.0.0.1", "crunch_id": "test"}
    settings = Settings().model_copy(update={**there, "model_runner_node_port": standing.it.port})
    found = orchestrator(settings)
    assert found.found.startswith("2 models at ws://127.0.0.1") and not found.remedy
    standing.it.crunch_id = "another"
    assert "mend CRUNCH_ID" in orchestrator(settings).remedy
    standing.go_away()
    assert "mend MODEL_RUNNER_NODE_HOST" in orchestrator(settings).remedy
