"""A batch run shows that it lives: it keeps a lease of its own, whoever launched it and on whatever machine.

Dagster leaves a run whose process was killed with its code server STARTED for ever, in its place in the pool.
"""

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from coordinator_dagster.store.database import DatabaseAway
from coordinator_dagster.store.leases import RENEW_SECONDS, LeaseTable

RUN = "run "

log = logging.getLogger("coordinator")


def lease_of(run_id: str) -> str:
    """The name of the lease that a batch run keeps while it works."""
    return RUN + run_id


@contextmanager
def beating(leases: LeaseTable, run_id: str) -> Iterator[None]:
    """Meanwhile a thread renews the run's lease. Where somebody else takes it, the main thread is interrupted."""
    leases.take(lease_of(run_id), run_id)
    over = threading.Event()
    thread = threading.Thread(target=_beat, args=(leases, run_id, over), name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        with suppress(*DatabaseAway):  # then it runs out by itself
            leases.drop(lease_of(run_id), run_id)


def _beat(leases: LeaseTable, run_id: str, over: threading.Event) -> None:
    while not over.wait(RENEW_SECONDS):
        try:
            ours = leases.renew(lease_of(run_id), run_id)
        except DatabaseAway:
            continue  # who looks at it finds the server away, too
        except Exception:  # a server that takes no writes for a while: who lives must not be taken for dead after it
            log.exception("run %s could not renew its lease, and tries again", run_id)
            continue
        if not ours:
            log.error("run %s was told to end: its lease was taken away", run_id)
            os.kill(os.getpid(), signal.SIGINT)  # as *Terminate* does; `interrupt_main` would not end what waits
            return
