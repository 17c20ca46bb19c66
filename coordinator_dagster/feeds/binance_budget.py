"""How much this address may still ask of Binance: by the weight that the venue counts, and by its requests to wait."""

import threading
import time
from collections.abc import Mapping

USED_WEIGHT = "x-mbx-used-weight-1m"
FEW = 800  # used weight a minute that every venue of this kind allows: until then its limit is not asked for
SHARE = 0.8  # above that share of the limit questions are spaced out: other processes ask from this address, too
SPACING_SECONDS = 2.0  # 30 questions a minute weigh 60 to 120: ten processes stay within the rest


class WeightBudget:
    """What the answers of all threads say of the minute's used weight, and until when nobody may ask.

    The venue counts by address, so its own count holds over a whole backfill, whoever else asks. `limit`: what it
    allows a minute, as soon as that is known.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.limit: int | None = None
        self._used = 0
        self._next = 0.0  # real (monotonic) seconds: no question before that

    @property
    def needs_limit(self) -> bool:
        return self.limit is None and self._used >= FEW

    def saw(self, headers: Mapping[str, str]) -> None:
        """The headers of an answer, refusals included."""
        used = {name.lower(): value for name, value in headers.items()}.get(USED_WEIGHT, "")
        if used.isdigit():
            self._used = int(used)

    def wait_for(self, seconds: float) -> None:
        """The venue asked everybody here to wait."""
        with self._lock:
            self._next = max(self._next, time.monotonic() + seconds)

    def reserve(self) -> float:
        """The seconds after which the next question may be asked; it is taken as asked then."""
        with self._lock:
            now = time.monotonic()
            at = max(self._next, now)
            if self.limit and self._used >= SHARE * self.limit:
                self._next = at + SPACING_SECONDS
            return at - now
