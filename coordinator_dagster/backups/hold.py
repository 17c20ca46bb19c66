"""Keep a competition still while its tables are replaced: who is at work ends, who comes waits."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from coordinator_dagster.errors import UserError
from coordinator_dagster.live.leasing import WORK
from coordinator_dagster.store.database import DatabaseAway
from coordinator_dagster.store.leases import EXPIRE_SECONDS, RENEW_SECONDS, LeaseTable

ENDS_SECONDS = 120  # a run that was told to end, and does not by then, is in the way
LOOK_SECONDS = 0.5
OVER = {"SUCCESS", "FAILURE", "CANCELED"}  # as Dagster has it

Statuses = Callable[[Iterable[str]], Mapping[str, str]]


class Hold:
    """The leases of everybody, held by `holder`. Runs that had one are told so by their next renewal, and end.

    It is renewed without showing it: a run that comes later takes the holder neither for dead nor for at work, and
    waits. `there`: whether the schema is; where it is not, nobody can be at work.
    """

    def __init__(self, leases: LeaseTable, holder: str, claims: Callable[[], list[str]], there: bool) -> None:
        self._leases, self.holder, self._claims, self.there = leases, holder, claims, there
        self._over = threading.Event()
        self._ended: dict[str, float] = {}  # who was at work, and until when it may not have noticed

    @property
    def names(self) -> list[str]:
        """The leases that are held whoever had them."""
        return [WORK, *self._claims()]

    def seize(self) -> None:
        """Take every lease that is alive, and those that the next runs need."""
        if self.there:
            for run in self._leases.seize(self.names, self.holder):
                self._ended[run] = time.monotonic() + EXPIRE_SECONDS

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Meanwhile it is renewed by a thread."""
        thread = threading.Thread(target=self._keep, name="hold", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def _keep(self) -> None:
        while not self._over.wait(RENEW_SECONDS):
            try:
                if self.there:  # who else comes keeps its own: it is found when the tables are to be replaced
                    self._leases.hold(self.names, self.holder)
            except DatabaseAway:
                continue  # it lasts longer than the server takes to come back, or all begin anew

    def wait(self, statuses: Statuses, told: Callable[[str], None]) -> None:
        """Tell all to end, until nobody works: Dagster says so, or they had time to notice. UserError: one does not."""
        until = time.monotonic() + ENDS_SECONDS
        while True:
            self.seize()
            known = statuses(self._ended) if self._ended else {}
            left = [run for run, end in self._ended.items() if _works(known.get(run), end)]
            if not left:
                return
            told(f"waiting for {len(left)} runs to end: {', '.join(left)}")
            if time.monotonic() > until:
                raise UserError(
                    f"the runs {', '.join(left)} did not end within {ENDS_SECONDS} s; terminate them in Dagster's UI, "
                    "then try again; nothing was changed"
                )
            time.sleep(LOOK_SECONDS)

    def release(self, meta: Mapping[str, Any]) -> None:
        """The next ones may work; `meta` is for the one that takes the lease of the work."""
        self._leases.release_all(self.holder, WORK, dict(meta))


def _works(status: str | None, noticed_by: float) -> bool:
    return time.monotonic() < noticed_by if status is None else status not in OVER
