"""How a process works that has much to do and nobody waiting for its next answer."""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager

OBJECTS = (20_000, 50, 50)  # made before a look for garbage: Python's 700 are a tenth of the time where all is kept


@contextmanager
def bulk() -> Iterator[None]:
    """Look for garbage seldom, and put nobody off in the middle of his work for one who wakes up.

    The latter, Linux only, is for this thread and the processes it starts, models too.
    """
    objects = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(*OBJECTS)
    policy = os.sched_getscheduler(0) if hasattr(os, "SCHED_BATCH") else None
    if policy == os.SCHED_OTHER:
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    try:
        yield
    finally:
        if policy == os.SCHED_OTHER:
            os.sched_setscheduler(0, policy, os.sched_param(0))
        gc.set_threshold(*objects)
        gc.unfreeze()
