"""How runs reach Celery's workers: which queue, and what is said of a run whose worker is gone. No worker is needed."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.launcher import LaunchRunContext, ResumeRunContext, WorkerStatus
from dagster._core.remote_origin import InProcessCodeLocationOrigin, RemoteRepositoryOrigin
from dagster._core.test_utils import create_run_for_test
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from typer.testing import CliRunner

from coordinator_dagster import celery_launcher
from coordinator_dagster.celery_launcher import WatchfulCeleryLauncher
from coordinator_dagster.cli import app
from coordinator_dagster.code_location import build_definitions
from coordinator_dagster.competition import Competition
from coordinator_dagster.errors import UserError, UserErrors
from coordinator_dagster.queues import QUEUE
from tests.conftest import PROJECT

Make = Callable[..., Competition]
TASK = "dagster-celery/task_id"


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """One whose launcher has a broker and a backend in this process."""
    monkeypatch.setattr(celery_launcher, "ANSWER_SECONDS", 0.1)
    launcher = {
        "module": "coordinator_dagster.celery_launcher",
        "class": "WatchfulCeleryLauncher",
        "config": {"broker": "memory://", "backend": "cache+memory://", "default_queue": "unserved"},
    }
    with dg.instance_for_test(temp_dir=str(tmp_path), overrides={"run_launcher": launcher}) as found:
        yield found


@pytest.fixture
def launcher(instance: dg.DagsterInstance) -> WatchfulCeleryLauncher:
    assert isinstance(instance.run_launcher, WatchfulCeleryLauncher)
    return instance.run_launcher


def make_run(instance: dg.DagsterInstance, **given: Any) -> dg.DagsterRun:
    """A run of this file's definitions, as the daemon launches one."""
    target = LoadableTargetOrigin(python_file=__file__)
    origin = RemoteRepositoryOrigin(InProcessCodeLocationOrigin(target), "__repository__").get_job_origin("any")
    code = dg.reconstructable(any_job).get_python_origin()
    return create_run_for_test(instance, "any", remote_job_origin=origin, job_code_origin=code, **given)


@dg.job
def any_job() -> None: ...


def test_every_job_has_its_competitions_queue(competition: Make) -> None:
    made = competition(mode="live")
    jobs = build_definitions(made).resolve_all_job_defs()
    queues = {job.name: job.tags.get(QUEUE) for job in jobs if not job.name.startswith("__")}
    assert queues.pop(f"{made.schema}_live") == f"{made.schema}_live"
    assert len(queues) >= 5
    assert set(queues.values()) == {f"{made.schema}_batch"}


def test_a_run_of_the_asset_graph_goes_to_its_assets_competition(
    instance: dg.DagsterInstance, launcher: WatchfulCeleryLauncher, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    monkeypatch.setattr(
        WatchfulCeleryLauncher,
        "_launch_celery_task_run",
        lambda self, run, **_: sent.append(run.tags.get(QUEUE, self.default_queue)),
    )
    assets = {"asset_selection": frozenset([dg.AssetKey(["btc", "scores"])])}
    runs = [make_run(instance, **one) for one in (assets, {"tags": {QUEUE: "eth_live"}}, {})]
    for run in runs:
        launcher.launch_run(LaunchRunContext(run, workspace=None))
    assert sent == ["btc_batch", "eth_live", "unserved"]
    kept = instance.get_run_by_id(runs[0].run_id)
    assert kept and kept.tags[QUEUE] == "btc_batch", "resumed, it would go elsewhere"


def health(launcher: WatchfulCeleryLauncher, run: dg.DagsterRun, state: str) -> WorkerStatus:
    """What is said where the backend says that of its task, and no worker answers."""
    result = {"hostname": "killed@here", "pid": 1} if state == "STARTED" else 0
    if state != "PENDING":
        launcher.celery.backend.store_result(run.tags[TASK], result, state)
    return launcher.check_run_worker_health(run).status


def test_a_killed_worker_is_seen(instance: dg.DagsterInstance, launcher: WatchfulCeleryLauncher) -> None:
    run = make_run(instance, tags={TASK: "a", QUEUE: "btc_batch"})
    assert health(launcher, run, "PENDING") is WorkerStatus.RUNNING, "it waits in its queue"
    assert health(launcher, run, "STARTED") is WorkerStatus.FAILED
    assert health(launcher, run, "SUCCESS") is WorkerStatus.FAILED, "interrupted, the run has not ended with its task"


def test_a_worker_that_answers_has_it(
    instance: dg.DagsterInstance, launcher: WatchfulCeleryLauncher, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(instance, tags={TASK: "b", QUEUE: "btc_batch"})
    monkeypatch.setattr(WatchfulCeleryLauncher, "_executes", lambda self, worker, task: (worker, task) == HAS)
    assert health(launcher, run, "STARTED") is WorkerStatus.RUNNING


HAS = ("killed@here", "b")


def test_a_live_run_is_its_sensors(instance: dg.DagsterInstance, launcher: WatchfulCeleryLauncher) -> None:
    run = make_run(instance, tags={TASK: "c", QUEUE: "btc_live"})
    assert health(launcher, run, "STARTED") is WorkerStatus.RUNNING, "resumed, two would hold one claim"
    assert health(launcher, run, "SUCCESS") is WorkerStatus.FAILED


def test_a_run_that_is_terminated_knows_it(instance: dg.DagsterInstance, launcher: WatchfulCeleryLauncher) -> None:
    run = make_run(instance, tags={TASK: "f", QUEUE: "btc_batch"}, status=dg.DagsterRunStatus.STARTED)
    assert launcher.terminate(run.run_id)
    told = instance.get_run_by_id(run.run_id)
    assert told and told.status is dg.DagsterRunStatus.CANCELING
    assert not launcher.terminate("nobody")


def test_a_run_is_resumed_by_the_task_that_resumes(
    instance: dg.DagsterInstance, launcher: WatchfulCeleryLauncher
) -> None:
    run = make_run(instance, tags={TASK: "d", QUEUE: "btc_batch"}, status=dg.DagsterRunStatus.STARTED)
    launcher.resume_run(ResumeRunContext(run, workspace=None, resume_attempt_number=1))
    resumed = instance.get_run_by_id(run.run_id)
    assert resumed and resumed.tags[TASK] != "d"
    with launcher.celery.connection_for_read() as connection:
        message = connection.default_channel.basic_get("btc_batch", no_ack=True)
    assert message.headers["task"] == "resume_job"
    assert run.run_id in message.decode()[1]["resume_job_args_packed"].__repr__()


def test_what_must_not_be_retried_is_not_resumed(
    instance: dg.DagsterInstance, launcher: WatchfulCeleryLauncher
) -> None:
    tags = {TASK: "e", QUEUE: "btc_batch", "dagster/max_retries": "0"}
    run = make_run(instance, tags=tags, status=dg.DagsterRunStatus.STARTED)
    launcher.resume_run(ResumeRunContext(run, workspace=None, resume_attempt_number=1))
    failed = instance.get_run_by_id(run.run_id)
    assert failed and failed.status is dg.DagsterRunStatus.FAILURE, "an order would be given twice"


def test_a_worker_where_runs_are_not_launched_through_celery(competition: Make) -> None:
    competition()
    done = CliRunner().invoke(app, ["worker", "batch"])
    assert isinstance(done.exception, UserError)
    assert "copy docker/celery/dagster.yaml there" in str(done.exception)


def test_a_worker_that_is_not_told_where_the_broker_is(competition: Make, tmp_path: Path) -> None:
    competition()
    shutil.copyfile(PROJECT / "docker" / "celery" / "dagster.yaml", tmp_path / "dagster.yaml")
    done = CliRunner().invoke(app, ["worker", "live"])
    assert isinstance(done.exception, UserErrors)
    assert done.exception.faults == ["CELERY_BROKER_URL is not set; dagster.yaml takes it from the environment"]


@pytest.mark.parametrize(("lane", "seconds"), [("live", 120), ("batch", 180)])
def test_a_run_that_nobody_began_in_time_is_begun_by_nobody(
    instance: dg.DagsterInstance,
    launcher: WatchfulCeleryLauncher,
    monkeypatch: pytest.MonkeyPatch,
    lane: str,
    seconds: float,
) -> None:
    sent: list[Any] = []
    monkeypatch.setattr("celery.app.task.Task.apply_async", lambda *_, **options: sent.append(options) or Sent())
    run = make_run(instance, tags={QUEUE: f"a_{lane}"})
    launcher.launch_run(LaunchRunContext(run, None))
    assert [one["expires"] for one in sent] == [seconds]


class Sent:
    task_id = "1"
