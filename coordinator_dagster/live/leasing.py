"""One live run works, the others wait: the lease `live`, and a claim on each window."""

import asyncio
from concurrent.futures import Executor

from coordinator_dagster.live.patience import patiently
from coordinator_dagster.live.tell import Tell
from coordinator_dagster.store.leases import EXPIRE_SECONDS, RENEW_SECONDS, LeaseTable
from coordinator_dagster.windows import Window

WORK, CLAIM = "live", "window "
POLL_SECONDS = 0.1  # real ones: how long a lease that was given up may lie about


class LeaseLost(Exception):
    """Another run has the lease: this one was away for too long."""


class Dismissed(Exception):
    """This run is asked to make way for one of another release."""


class Taken(Exception):
    """Another run is at work for the window already."""


def claim_of(window: Window) -> str:
    """The name of the claim on a window: one run works or waits for each."""
    return CLAIM + window.key


async def claim(leases: LeaseTable, window: Window, holder: str, tell: Tell, executor: Executor) -> None:
    """Become the window's run; Taken when another one is, alive. A dead one's claim runs out by itself."""
    name, seen = claim_of(window), None
    while not await patiently(tell, executor, leases.take, name, holder):
        lease = await patiently(tell, executor, leases.read, name)
        if lease and seen and lease.holder == seen.holder and lease.renewed_at > seen.renewed_at:
            raise Taken(f"another live run is at work for window {window.key} already: {lease.holder}; nothing to do")
        seen = lease if seen is None or (lease and lease.holder != seen.holder) else seen
        await asyncio.sleep(RENEW_SECONDS / 4)


async def keep(
    leases: LeaseTable, name: str, holder: str, tell: Tell, executor: Executor, at_work: asyncio.Event
) -> None:
    """Renew for ever. Dismissed when asked to make way, unless it is at work; LeaseLost when somebody else took it.

    The latter was possible as this run was away for over EXPIRE_SECONDS; or it is a restore, which takes what it wants.
    """
    while True:
        await asyncio.sleep(RENEW_SECONDS)
        lease = await patiently(tell, executor, leases.renew, name, holder)
        if lease is None:
            other = await patiently(tell, executor, leases.read, name)
            raise LeaseLost(
                f"{other.holder if other else 'somebody'} has taken the lease {name!r}: another run, where it had not "
                f"been renewed for {EXPIRE_SECONDS:g} s, or a restore, which tells every run to end"
            )
        if (why := lease.dismissed) and not at_work.is_set():
            raise Dismissed(why)
