"""A venue that refuses a question, and how it is asked again."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_before_delay, wait_exponential


@dataclass(eq=False)
class Refusal(Exception):
    """No data: what came instead (`status` 0: nothing), and the headers of the answer."""

    status: int
    body: str
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def wait(self) -> float:
        """Seconds that the venue asks us to wait; the header's other form, a date, is not one that these send."""
        seconds = self.headers.get("Retry-After", "")
        return float(seconds) if seconds.isdigit() else 0.0

    @property
    def may_pass(self) -> bool:
        """Overload, bans, faults of the server, a broken line or a torn answer; not a refused question."""
        return self.status in (0, 200, 408, 418, 429) or self.status >= 500

    def __str__(self) -> str:
        return f"{f'HTTP {self.status}' if self.status else 'no answer'}: {self.body[:200]}"


def may_pass(error: BaseException) -> bool:
    return isinstance(error, Refusal) and error.may_pass


def pause_before_retry(state: RetryCallState) -> float:
    """Seconds: longer each time, or what the venue asks for."""
    error = state.outcome.exception() if state.outcome else None
    backoff = wait_exponential(multiplier=0.1, max=10)(state)
    return max(backoff, error.wait if isinstance(error, Refusal) else 0.0)


def asking_again(patience: float) -> Retrying:
    """Repeats what is refused and may pass, for at most so many seconds; then the last Refusal is raised."""
    return Retrying(
        retry=retry_if_exception(may_pass), wait=pause_before_retry, stop=stop_before_delay(patience), reraise=True
    )
