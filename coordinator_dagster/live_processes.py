"""The processes that a live competition runs in, found by their environment, whoever started them."""

import logging
import os
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path

import dagster as dg
import psutil

MARK = "COORDINATOR_LIVE"  # in the environment of each: the folder
LOOK_SECONDS = 0.2
NOTED_SECONDS = 0.5  # to note what became of them
IN_PROGRESS = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]

log = logging.getLogger("coordinator")


def processes_of(home: Path) -> list[psutil.Process]:
    """Services, run workers and their children that live; not the embedded PostgreSQL, which stays."""
    found = []
    for one in psutil.process_iter():
        with suppress(psutil.Error):
            ours = one.pid != os.getpid() and one.environ().get(MARK) == str(home)
            if ours and one.name() != "postgres" and one.status() != psutil.STATUS_ZOMBIE:
                found.append(one)
    return found


def run_workers(home: Path) -> list[psutil.Process]:
    """The processes that runs are in: the code server's children, and those of one that was killed.

    Runs survive their code server, so nobody else knows of the latter.
    """
    found = []
    for one in processes_of(home):
        with suppress(psutil.Error):
            if "--multiprocessing-fork" in one.cmdline():
                found.append(one)
    return found


def report_dead_runs(home: Path) -> None:
    """Where no run's process lives, tell Dagster so of those that it takes for starting.

    They died with the machine before they had a claim on their window, by which the live-run sensor sees who lives:
    it would wait for them.
    """
    if run_workers(home):
        return
    try:
        with dg.DagsterInstance.get() as instance:
            if instance.run_launcher.supports_check_run_worker_health:
                return  # runs start elsewhere, and Dagster's monitoring sees to them
            for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTING])):
                instance.report_run_failed(run, "Its process died while it started, with all others of this machine.")
    except Exception:
        log.exception("runs that died while they started may count as starting for some minutes")


def end_runs(home: Path, seconds: float) -> None:
    """Cancel every run as the UI would, and wait; after `seconds` they are killed.

    Where its database is away Dagster tries for longer than we may: then they are left to `kill_what_is_left`.
    """
    canceling = threading.Thread(target=_cancel_runs, args=(home, seconds), daemon=True)
    canceling.start()
    canceling.join(seconds + NOTED_SECONDS)
    if canceling.is_alive():
        log.error("Dagster does not answer, its database may be away; the runs are killed")


def _cancel_runs(home: Path, seconds: float) -> None:
    """One that is just starting is asked as soon as it has told its pid."""
    end, asked = time.monotonic() + seconds, dict[int, str]()
    try:
        with dg.DagsterInstance.get() as instance:
            while (workers := run_workers(home)) and time.monotonic() < end:
                runs = _runs_by_pid(instance)
                for worker in workers:
                    if (run := runs.get(worker.pid)) and worker.pid not in asked:
                        asked[worker.pid] = run.run_id
                        instance.report_run_canceling(run)
                        with suppress(psutil.NoSuchProcess):
                            worker.send_signal(signal.SIGINT)
                time.sleep(LOOK_SECONDS)
            for worker in workers:
                log.warning("process %s of run %s has not ended; killed", worker.pid, asked.get(worker.pid, "?"))
                with suppress(psutil.NoSuchProcess):
                    worker.kill()
            for run_id in asked.values():
                if (run := instance.get_run_by_id(run_id)) and not run.is_finished:
                    instance.report_run_canceled(run, message="Its process has ended without saying so.")
    except Exception:
        log.exception("the runs could not be canceled; their processes are killed")


def _runs_by_pid(instance: dg.DagsterInstance) -> dict[int, dg.DagsterRun]:
    """The runs in progress by the pid that each has told in its log."""
    found = {}
    for run in instance.get_runs(dg.RunsFilter(statuses=IN_PROGRESS)):
        for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
            event = entry.dagster_event
            if event and (pid := event.engine_event_data.metadata.get("pid")):
                found[int(str(pid.value))] = run
    return found


def kill_what_is_left(home: Path) -> None:
    """kill -9, after a moment for what is just ending."""
    for one in psutil.wait_procs(processes_of(home), timeout=1)[1]:
        with suppress(psutil.NoSuchProcess):
            one.kill()
