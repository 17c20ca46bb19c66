"""Orders as an operator gives them: from the command line and from Dagster's launchpad."""

from collections.abc import Callable
from datetime import UTC, datetime

import dagster as dg
import pytest
from typer.testing import CliRunner

from coordinator_dagster.cli import app
from coordinator_dagster.code_location import build_definitions
from coordinator_dagster.competition import Competition
from coordinator_dagster.errors import UserErrors
from coordinator_dagster.replay import replay
from coordinator_dagster.runtime import open_runtime

Make = Callable[..., Competition]


@pytest.fixture
def hour(competition: Make) -> Competition:
    """A competition of two hours, the first of them run."""
    made = competition()
    with open_runtime(made) as runtime:
        replay(runtime, made.windows.between(made.start, datetime(2026, 1, 5, 1, tzinfo=UTC)), lambda done: None)
    return made


def test_from_the_command_line(hour: Competition) -> None:
    cli = CliRunner()
    done = cli.invoke(
        app,
        ["order", "void", "--at", "2026-01-05T00:30Z", "--config", "btc-60s", "--reason", "a bad hour", "--by", "ann"],
    )
    assert done.exit_code == 0, done.output
    assert "order 1: void, a bad hour" in done.output
    assert "boards made anew: 1" in done.output
    listed = cli.invoke(app, ["order", "list"])
    assert listed.exit_code == 0
    assert "a bad hour" in listed.output and "ann" in listed.output
    refused = cli.invoke(app, ["order", "pause", "--reason", "x", "--at", "yesterday"])
    assert refused.exit_code == 1
    assert "--at=yesterday" in str(refused.exception)


def test_from_the_launchpad(hour: Competition) -> None:
    job = build_definitions(hour).resolve_job_def(f"{hour.schema}_order")

    def launch(**config: object) -> dg.ExecuteInProcessResult:
        ops = {"ops": {f"{hour.schema}_give_order": {"config": config}}}
        with dg.DagsterInstance.ephemeral() as instance:
            return job.execute_in_process(instance=instance, run_config=ops, raise_on_error=False)

    assert launch(kind="void", at="2026-01-05T00:30Z", reason="a bad hour").success
    with open_runtime(hour) as runtime:
        rows = runtime.store.database.read("select kind, reason, given_by from operator_orders")
        assert [tuple(row) for row in rows] == [("void", "a bad hour", "dagster")]
        void = runtime.store.database.read("select performed_at from ground_truths where status = 'VOID'")
        assert [row.performed_at for row in void] == [datetime(2026, 1, 5, 0, 30, tzinfo=UTC)]
    refused = launch(kind="disqualify", reason="x", model="nobody")
    assert not refused.success
    (failure,) = [event for event in refused.all_events if event.is_step_failure]
    assert "model nobody: not known" in (failure.step_failure_data.user_failure_data.description or "")


def test_a_killed_order_is_finished_by_materializing_the_windows(
    hour: Competition, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order stands with what it superseded; only the settling was not done."""
    from coordinator_dagster.levers import carry_out as module
    from coordinator_dagster.levers.request import Request

    def killed(*_: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_settle_again", killed)
    request = Request("void", "a bad hour", "me", at=datetime(2026, 1, 5, 0, 30, tzinfo=UTC))
    with open_runtime(hour) as runtime:
        with pytest.raises(KeyboardInterrupt):
            module.carry_out(runtime, request)
        windows = hour.windows.between(hour.start, datetime(2026, 1, 5, 1, tzinfo=UTC))
        for step in (runtime.resolve, runtime.score, runtime.aggregate, runtime.rank):
            step(windows)
        void = runtime.store.database.read("select count(*) as n from scores where status = 'EXEMPT'")
        assert void[0].n == 3
        monkeypatch.undo()
        with pytest.raises(UserErrors):
            module.carry_out(runtime, Request("void", "", "me", at=request.at))
