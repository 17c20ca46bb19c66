"""What a runner is: it asks every model of the competition, all at once, each with its own deadline."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

AnswerStatus = Literal["SUCCESS", "FAILED", "TIMEOUT", "LATE", "ABSENT", "SUSPENDED", "PLATFORM_FAULT"]


@dataclass(frozen=True)
class ModelInfo:
    """A participant's model: `id` is stable, `deployment` changes with its code."""

    id: str
    name: str
    deployment: str
    player_id: str
    player_name: str


@dataclass(frozen=True)
class Call:
    """One `predict` call; arguments go positionally, keywords only where the base class names them."""

    args: list[Any] = field(default_factory=list)
    kwargs: dict[str, Any] = field(default_factory=dict)


class Answer(NamedTuple):
    """What came back for one call.

    `output` is as the model gave it (it may hold NaN), `elapsed` seconds from the instant's dispatch to this
    answer's arrival, `exec_time_ms` milliseconds the model itself spent on the call (over gRPC with node and wire:
    the protocol tells no more), `queued_ms` those of
    `elapsed` that were ours: waiting for its turn and under way, at the whole instant.
    """

    status: AnswerStatus
    elapsed: float
    output: Any = None
    exec_time_ms: float | None = None
    queued_ms: float | None = None
    reason: str | None = None


class Runner(Protocol):
    """Asks models. Not thread-safe: one instant at a time."""

    def models(self) -> Sequence[ModelInfo]:
        """The models known now, ordered by id."""
        ...

    def fresh(self, wait: bool = True) -> None:
        """Start every model anew, as at the beginning of a window; who has not been asked since is anew already.

        Without `wait` it returns at once: they start while something else is done, until it is called again. gRPC
        nodes persist: none is started, who has come since is taken up.
        """
        ...

    @property
    def dispatch_seconds(self) -> float:
        """From the beginning of the last `ask` until its last call had been sent."""
        ...

    def ask(
        self, tick: bytes, calls: Sequence[Call], timeout: float, skip: Collection[str] = ()
    ) -> dict[str, list[Answer]]:
        """`tick` (the instant's input as JSON) once, then each call, on every model: answers by model id.

        Every known model but those in `skip` has one answer per call. After `timeout` seconds a model is given up
        (TIMEOUT); a local one is killed and started anew before the next `ask`. Waits until all have answered or
        been given up.
        """
        ...

    def rest(self) -> bool:
        """Live, once an instant is stored: models stand still until the next `ask`; changed ones are taken up.

        True when what `models` returns has changed.
        """
        ...

    def abort(self) -> None:
        """End the models now, from any thread: a running `ask` returns at once, and what it returns is void."""
        ...

    def close(self) -> None:
        """End every process; nothing is left behind."""
        ...
