"""`coordinator worker`"""

import os
import re
import signal
from importlib.util import find_spec
from typing import Annotated, Any

import psutil
import typer

from coordinator_dagster.cli.console import console
from coordinator_dagster.competition import read_competition
from coordinator_dagster.errors import UserError, UserErrors
from coordinator_dagster.launcher import set_dagster_environment
from coordinator_dagster.queues import Lane, queue_name

AT_ONCE: dict[Lane, int] = {"live": 3, "batch": 1}  # two live runs, and a third that closes its window
NICENESS = 10  # of batch runs: where they share a machine with live ones, those come first
UNSET = re.compile('environment variable "(.+?)" which is not set')  # in the midst of a stack trace of Dagster's
NOT_INSTALLED = (
    "the package dagster-celery is not installed; install it with `pip install -c constraints.txt -e '.[celery]'`"
)
WITHOUT_CELERY = (
    "run_launcher: the dagster.yaml of this folder does not launch runs through Celery; "
    "copy docker/celery/dagster.yaml there and start the UI and the daemon again"
)

LaneOption = Annotated[Lane, typer.Argument(help="live or batch: which of the competition's runs it executes")]
AtOnce = Annotated[int | None, typer.Option(min=1, help="runs at once; default 3 live ones, or 1 batch run")]


def worker(lane: LaneOption, concurrency: AtOnce = None) -> None:
    """Execute this competition's live or batch runs, each in a process of its own, until SIGTERM.

    Then batch runs are finished first; live runs end at once and hand over, as when they are terminated.
    """
    competition = read_competition()
    set_dagster_environment(competition)
    app = _celery()
    name, at_once = queue_name(competition.schema, lane), concurrency or AT_ONCE[lane]
    if lane == "batch":
        os.nice(NICENESS)
    app.conf.worker_redirect_stdouts = False  # Dagster keeps what a run prints
    app.conf.worker_disable_prefetch = True  # else a run waits behind another while a second worker is idle
    console.print(f"executes {at_once} {lane} runs at once, from the queue {name}")
    _end_runs_in_good_order(lane)
    app.worker_main(
        # A process for each run: nothing of another run, and no older code, is in it.
        [
            *("worker", "--queues", name, "--hostname", f"{name}-{os.getpid()}@%h", "--loglevel", "INFO"),
            *("--concurrency", str(at_once), "--max-tasks-per-child", "1", "--without-mingle", "--without-gossip"),
        ]
    )


def _celery() -> Any:
    """The Celery app that the instance's launcher sends runs by, so that the broker is said once."""
    if not find_spec("dagster_celery"):
        raise UserError(NOT_INSTALLED)
    from dagster import DagsterInstance, DagsterInvalidConfigError

    try:
        app = getattr(DagsterInstance.get().run_launcher, "celery", None)
    except DagsterInvalidConfigError as error:
        if unset := sorted(set(UNSET.findall(str(error)))):
            raise UserErrors(
                [f"{name} is not set; dagster.yaml takes it from the environment" for name in unset]
            ) from None
        raise
    if app is None:
        raise UserError(WITHOUT_CELERY)
    from dagster_celery.tasks import create_execute_job_task, create_resume_job_task

    create_execute_job_task(app)
    create_resume_job_task(app)
    return app


def _end_runs_in_good_order(lane: Lane) -> None:
    """Celery ends a task by SIGTERM; Dagster ends a run in good order at SIGINT, which Celery ignores."""
    from celery import signals

    def interruptible(**_: Any) -> None:
        signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getpid(), signal.SIGINT))

    def end_live_runs(**_: Any) -> None:
        for child in psutil.Process().children():
            child.terminate()

    signals.task_prerun.connect(interruptible, weak=False)
    if lane == "live":
        signals.worker_shutting_down.connect(end_live_runs, weak=False)
