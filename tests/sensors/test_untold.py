"""What the webhook did not take of a failed run or a bad check is told later, by the health sensor, and once.

The sensors are evaluated as the daemon does it, ticks and all.
"""

import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.scheduler.instigation import InstigatorTick, InstigatorType, TickData, TickStatus
from dagster._core.test_utils import create_run_for_test, create_test_daemon_workspace_context, freeze_time
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget
from dagster._daemon.sensor import execute_sensor_iteration
from dagster._utils.error import SerializableErrorInfo

from coordinator_dagster.competition import Competition
from coordinator_dagster.health.finding import Finding
from coordinator_dagster.health.news import Seen
from coordinator_dagster.sensors import checks, failure, health
from coordinator_dagster.sensors.untold import Untold, digest, untold
from coordinator_dagster.webhook import IT_WAS
from tests.sensors.webhooks import SECRET, Webhook

LOCATION = """
from coordinator_dagster.code_location import build_definitions
from coordinator_dagster.competition import read_competition

defs = build_definitions(read_competition())
"""


class Daemon:
    """Evaluates one sensor at a time, a minute after the one before."""

    def __init__(self, made: Competition, instance: dg.DagsterInstance, workspace: WorkspaceProcessContext) -> None:
        self.made, self.instance, self._workspace = made, instance, workspace
        [entry] = workspace.create_request_context().get_code_location_entries().values()
        assert entry.code_location, entry.load_error
        [self._repository] = entry.code_location.get_repositories().values()
        self._now = datetime.now(UTC)
        self.sensors = {one.name.removeprefix(f"{made.schema}_"): one for one in self._repository.get_sensors()}
        for one in self.sensors.values():
            instance.stop_sensor(one.get_remote_origin_id(), one.selector_id, one)

    def look(self, *names: str) -> InstigatorTick:
        """The tick of the last one."""
        for name in names:
            one, self._now = self.sensors[f"{name}_sensor"], self._now + timedelta(minutes=1)
            with freeze_time(self._now):
                self.instance.start_sensor(one)
                list(execute_sensor_iteration(self._workspace, logging.getLogger("daemon"), None, None))
                self.instance.stop_sensor(one.get_remote_origin_id(), one.selector_id, one)
            [tick] = self.instance.get_ticks(one.get_remote_origin_id(), one.selector_id, limit=1)
        return tick

    def tick(self, name: str, began: float, ended: float, text: str) -> None:
        """One that failed, with the error of a post that was not taken as the cause of another."""
        one = self.sensors[f"{name}_sensor"]
        cause = SerializableErrorInfo(f"coordinator_dagster.webhook.NotPosted: … {IT_WAS}{text}\n", [], "NotPosted")
        error = SerializableErrorInfo("a wrapper\n", [], "RunStatusSensorExecutionError", cause)
        data = TickData(
            one.get_remote_origin_id(),
            one.name,
            InstigatorType.SENSOR,
            TickStatus.FAILURE,
            began,
            error=error,
            selector_id=one.selector_id,
            end_timestamp=ended,
        )
        self.instance.create_tick(data)

    def run(self, job: str, why: str = "") -> None:
        """Of that job one ends, failed where there is a reason."""
        name = f"{self.made.schema}_{job}"
        origin = self._repository.get_full_job(name).get_remote_origin()
        run = create_run_for_test(self.instance, name, remote_job_origin=origin, status=dg.DagsterRunStatus.STARTED)
        if why:
            self.instance.report_run_failed(run, why)
        else:
            self.instance.report_dagster_event(
                dg.DagsterEvent(dg.DagsterEventType.RUN_SUCCESS.value, name), run_id=run.run_id
            )


@pytest.fixture
def daemon(competition: Callable[..., Competition], webhook: Webhook, tmp_path: Path) -> Iterator[Daemon]:
    """Of a live competition that is to begin, whose sensors have looked once."""
    made = competition(
        mode="live",
        failure_webhook_url=webhook.url,
        competition_start="2126-01-05T00:00Z",
        competition_end="2126-01-06T00:00Z",
    )
    file = tmp_path / "location.py"
    file.write_text(LOCATION)
    target = InProcessWorkspaceLoadTarget(InProcessCodeLocationOrigin(LoadableTargetOrigin(python_file=str(file))))
    with dg.instance_for_test() as instance, create_test_daemon_workspace_context(target, instance) as workspace:
        found = Daemon(made, instance, workspace)
        found.look("failure", "checks", "health")
        assert not webhook.bodies
        yield found


def texts(webhook: Webhook) -> list[str]:
    return [body["text"] for body in webhook.bodies]


def test_what_was_not_taken_is_told_at_the_next_look_and_once(daemon: Daemon, webhook: Webhook) -> None:
    webhook.statuses = [404]
    daemon.run("loop", "its machine <1> died")
    tick = daemon.look("failure")
    assert tick.status is TickStatus.FAILURE and tick.end_timestamp
    daemon.look("failure", "failure")
    assert len(webhook.bodies) == 1, "Dagster has moved the sensor on"
    assert daemon.look("health").status is TickStatus.SKIPPED
    lines = texts(webhook)[-1].splitlines()
    assert lines[0] == f"{daemon.made.settings.competition}: 1 message the webhook had not taken before"
    assert lines[1].startswith(f"{datetime.fromtimestamp(tick.end_timestamp, UTC):%Y-%m-%d %H:%M:%S} UTC, ")
    assert lines[1].endswith("_loop failed") and lines[3] == "its machine &lt;1&gt; died"
    assert lines[4].startswith("What to do: ") and len(lines) == 5 and SECRET not in str(lines)
    daemon.look("health", "failure", "health")
    assert len(webhook.bodies) == 2


def test_each_of_several_runs_is_told_once(daemon: Daemon, webhook: Webhook) -> None:
    """Dagster keeps one error of a tick, however many runs it looks at."""
    webhook.statuses = [404, 404, 200, 404]
    for n in range(5):
        daemon.run("loop", f"reason {n}")
    daemon.look("failure", "failure", "failure", "failure", "health", "failure", "health")
    said = texts(webhook)
    assert [one.count("reason") for one in said] == [1, 1, 1, 1, 1, 3], "each run, then what was not taken"
    assert [n for n in "01234" if f"reason {n}" in said[-1]] == ["0", "1", "3"]
    assert said[-1].index("reason 0") < said[-1].index("reason 1") < said[-1].index("reason 3")


def test_what_is_refused_again_waits_and_holds_up_no_news(
    daemon: Daemon, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    webhook.statuses = [404, 404]
    daemon.run("loop", "reason 1")
    tick = daemon.look("failure", "health")
    assert tick.status is TickStatus.SKIPPED and tick.skip_reason
    assert "1 message of other sensors the webhook has still not taken" in tick.skip_reason
    found = [Finding("tape", "critical", "the feed is away", "wait")]
    monkeypatch.setattr(health, "judge", lambda *_: found)
    webhook.statuses = [404, 200, 404]
    daemon.look("health", "health", "health")
    assert ["reason 1" in one for one in texts(webhook)[2:]] == [True, False, True]
    assert "the feed is away" in texts(webhook)[3]
    webhook.statuses = [404]
    daemon.run("checks_job", "reason 2")
    daemon.look("failure", "health", "health")
    assert len(webhook.bodies) == 7
    assert "2 messages the webhook" in texts(webhook)[-1] and "reason 1" in texts(webhook)[-1]


def test_checks_that_turned_bad_are_told_too(daemon: Daemon, webhook: Webhook, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = dg.AssetCheckEvaluation(dg.AssetKey(["a", "scores"]), "audit", False, {})
    monkeypatch.setattr(checks, "_turned_bad", lambda *_: [bad])
    webhook.statuses = [404]
    daemon.run("checks_job")
    assert daemon.look("checks").status is TickStatus.FAILURE
    daemon.look("health", "health", "checks")
    assert len(webhook.bodies) == 2 and "audit of scores" in texts(webhook)[-1]


def test_a_tick_that_failed_for_another_reason_is_not_told(
    daemon: Daemon, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(failure, "message")
    daemon.run("loop", "reason 1")
    tick = daemon.look("failure")
    assert tick.status is TickStatus.FAILURE and tick.error and "NameError" in tick.error.to_string()
    daemon.look("health")
    assert not webhook.bodies


def test_a_first_look_tells_nothing_of_before(daemon: Daemon, webhook: Webhook) -> None:
    webhook.statuses = [404]
    daemon.run("loop", "reason 1")
    end = daemon.look("failure").end_timestamp
    names = [daemon.sensors[one].name for one in ("failure_sensor", "checks_sensor")]
    assert untold(daemon.instance, names, {}) == ([], {names[0]: end, names[1]: 0.0})
    old = Seen(told={"gaps": ("warning", "a gap")}, last={"gaps": "warning"}).model_dump_json()
    assert health.Kept.model_validate_json(old).through == {}


def test_ticks_go_by_when_they_ended_each_sensors_by_itself(daemon: Daemon) -> None:
    """One of the checks' that shows late began before one of the failures' that is told, and ended before it, too."""
    names = [daemon.sensors[one].name for one in ("failure_sensor", "checks_sensor")]
    _, first = untold(daemon.instance, names, {})
    daemon.tick("failure", began=900.0, ended=960.0, text="a failure")
    found, through = untold(daemon.instance, names, first)
    assert [one.text for one in found] == ["a failure"] and through == {names[0]: 960.0, names[1]: 0.0}
    daemon.tick("checks", began=890.0, ended=950.0, text="a check")
    daemon.tick("failure", began=959.0, ended=970.0, text="another failure")
    found, through = untold(daemon.instance, names, through)
    assert [one.text for one in found] == ["a check", "another failure"]
    assert untold(daemon.instance, names, through) == ([], {names[0]: 970.0, names[1]: 950.0})


def test_of_many_the_newest_are_told_and_none_at_length() -> None:
    found = [Untold(datetime.fromtimestamp(n, UTC), f"text {n} {10_000 * 'x'}") for n in range(23)]
    lines = digest("btc", found).splitlines()
    assert lines[0] == "btc: 23 messages the webhook had not taken before" and lines[1].startswith("3 more, older ones")
    assert [line.split()[4] for line in lines[2:]] == [f"{n}" for n in range(3, 23)]
    assert len("".join(lines)) < 40_000, "Slack takes no more"
    assert len(digest("btc", found[:20]).splitlines()) == 21
