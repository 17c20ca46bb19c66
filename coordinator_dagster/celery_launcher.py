"""Launches runs through Celery: dagster-celery's launcher, which also sees that a worker was killed."""

from typing import Any

from dagster import DagsterRun
from dagster._core.launcher import CheckRunHealthResult, LaunchRunContext, ResumeRunContext, WorkerStatus
from dagster._grpc.types import ResumeRunArgs
from dagster._serdes import pack_value
from dagster_celery.config import TASK_EXECUTE_JOB_NAME, TASK_RESUME_JOB_NAME
from dagster_celery.launcher import CeleryRunLauncher
from dagster_celery.tags import DAGSTER_CELERY_TASK_ID_TAG
from dagster_celery.tasks import create_resume_job_task

from coordinator_dagster.queues import QUEUE, asset_keys, queue_name
from coordinator_dagster.sensors.live_runs import START_SECONDS

LOOKS, ANSWER_SECONDS = 2, 3.0  # a worker answers at once, whatever it executes
LIVE = queue_name("", "live")
ENDED = ("SUCCESS", "FAILURE", "REVOKED")
KILLED, INTERRUPTED = "its worker was killed", "its process ended before it"


class WatchfulCeleryLauncher(CeleryRunLauncher):
    """As CeleryRunLauncher, but for what that does not know.

    Runs from the asset graph are of no job, so they have no tag of their competition's queue. What the result backend
    says of a task stays STARTED when its worker is killed, so the worker itself is asked. And a run that must not be
    retried must not be resumed either.
    """

    def launch_run(self, context: LaunchRunContext) -> None:
        run = context.dagster_run
        keys = asset_keys(run)
        if QUEUE not in run.tags and keys:
            queue = {QUEUE: queue_name(keys[0].path[0], "batch")}
            self._instance.add_run_tags(run.run_id, queue)
            context = context._replace(dagster_run=run.with_tags({**run.tags, **queue}))
        super().launch_run(context)

    def _launch_celery_task_run(self, run: DagsterRun, task_signature: Any, routing_key: str) -> None:
        """A run that did not start in time has failed, and another one is in its place: no worker shall begin it later.

        Else a worker that comes back after an hour goes through all of them before it has one that is due.
        """
        if routing_key == TASK_EXECUTE_JOB_NAME:
            live = run.tags.get(QUEUE, "").endswith(LIVE)
            patience = START_SECONDS if live else self._instance.run_monitoring_start_timeout_seconds
            task_signature = task_signature.set(expires=patience)
        super()._launch_celery_task_run(run, task_signature, routing_key)

    def resume_run(self, context: ResumeRunContext) -> None:
        """The run's steps again, in another worker; what is stored they find done.

        dagster-celery 0.29 names the task's argument as that of the other task, and so sends nothing.
        """
        run = context.dagster_run
        if run.tags.get("dagster/max_retries") == "0" or run.job_code_origin is None:
            self._instance.report_run_failed(run, f"{INTERRUPTED}, and it is not to be done again")
            return
        arguments = ResumeRunArgs(run.job_code_origin, run.run_id, self._instance.get_ref(), True)
        task = create_resume_job_task(self.celery).si(resume_job_args_packed=pack_value(arguments))
        self._launch_celery_task_run(run, task, TASK_RESUME_JOB_NAME)

    def terminate(self, run_id: str) -> bool:
        """As *Terminate* has it. dagster-celery leaves out to say so, and the run would take it for an accident."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished or DAGSTER_CELERY_TASK_ID_TAG not in run.tags:
            return False
        self._instance.report_run_canceling(run)
        return super().terminate(run_id)

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """RUNNING unless the run's task has ended without it, or has begun and its worker has it no more."""
        task = run.tags[DAGSTER_CELERY_TASK_ID_TAG]
        told = self.celery.backend.get_task_meta(task)
        if told["status"] in ENDED:
            return CheckRunHealthResult(WorkerStatus.FAILED, INTERRUPTED)
        # Waiting in its queue it is PENDING. A live run's claim on its window says whether it lives, to its sensor.
        if told["status"] != "STARTED" or run.tags.get(QUEUE, "").endswith(LIVE):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        if any(self._executes(told["result"]["hostname"], task) for _ in range(LOOKS)):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.FAILED, KILLED)

    def _executes(self, worker: str, task: str) -> bool:
        """Whether the worker says that it has the task; a live one answers at once."""
        asked = self.celery.control.inspect([worker], timeout=ANSWER_SECONDS, limit=1)
        return any((asked.query_task(task) or {}).values())
