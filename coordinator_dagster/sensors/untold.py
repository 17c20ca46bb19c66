"""What sensors had to say of a run and the webhook did not take: Dagster goes on, and keeps it in its failed ticks."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg
from dagster._core.definitions.run_request import DagsterRunReaction
from dagster._core.scheduler.instigation import InstigatorState, InstigatorTick, InstigatorType, TickStatus
from dagster._utils.error import SerializableErrorInfo, serializable_error_info_from_exc_info
from pydantic import SecretStr

from coordinator_dagster.health.finding import many
from coordinator_dagster.webhook import NotPosted, post, text_of

TOLD_AT_ONCE, CHARACTERS = 20, 1500  # together less than Slack takes: what it refuses would be refused at every look
READ_AT_ONCE = 500  # failed ticks of a sensor; of more, those before are not even counted
LONGEST_TICK_SECONDS = 3600.0


@dataclass(frozen=True)
class Untold:
    """A message, and when the webhook had not taken it."""

    at: datetime
    text: str


def tell(webhook: SecretStr, run: dg.DagsterRun, text: str) -> DagsterRunReaction | None:
    """Post what there is to say of a run. Where it is not taken, the tick fails, and ends with this run.

    A tick keeps one error, and Dagster would go on to the next run after one that is raised.
    """
    try:
        post(webhook, text)
    except NotPosted:
        return DagsterRunReaction(run, serializable_error_info_from_exc_info(sys.exc_info()), run.status)
    return None


def untold(
    instance: dg.DagsterInstance, sensors: Sequence[str], through: Mapping[str, float]
) -> tuple[list[Untold], dict[str, float]]:
    """The messages in the failed ticks of these sensors that ended after `through`, oldest first; and the newest ends.

    Ends are Unix times, by the sensor's name: one sensor's ticks come one after the other, two sensors' overlap. A
    sensor that is not in `through` is looked at for the first time, and nothing of before is told.
    """
    states, found, ends = instance.all_instigator_state(instigator_type=InstigatorType.SENSOR), [], {}
    for name in sensors:
        since = through.get(name)
        ticks = [tick for one in states if one.instigator_name == name for tick in _failed(instance, one, since)]
        ends[name] = max([since or 0.0, *map(_end, ticks)])
        if since is not None:
            found += [one for tick in ticks if _end(tick) > since for one in _message(tick)]
    return sorted(found, key=lambda one: one.at), ends


def digest(name: str, found: Sequence[Untold]) -> str:
    """One message of them, the newest only where there are many."""
    lines = [f"{name}: {many(len(found), 'message')} the webhook had not taken before"]
    if more := found[:-TOLD_AT_ONCE]:
        lines.append(f"{len(more)} more, older ones: the failed ticks of the failure and checks sensors show them")
    for one in found[-TOLD_AT_ONCE:]:
        cut = one.text if len(one.text) <= CHARACTERS else f"{one.text[:CHARACTERS]} …"
        lines.append(f"{one.at:%Y-%m-%d %H:%M:%S} UTC, {cut}")
    return "\n".join(lines)


def _failed(instance: dg.DagsterInstance, sensor: InstigatorState, since: float | None) -> Sequence[InstigatorTick]:
    """Those that may have ended after `since`; None: the newest one. They are asked for by when they began."""
    return instance.get_ticks(
        sensor.instigator_origin_id,
        sensor.selector_id,
        after=max(0.0, since - LONGEST_TICK_SECONDS) if since is not None else None,
        limit=1 if since is None else READ_AT_ONCE,
        statuses=[TickStatus.FAILURE],
    )


def _end(tick: InstigatorTick) -> float:
    return tick.end_timestamp or tick.timestamp


def _message(tick: InstigatorTick) -> Iterator[Untold]:
    """None in ticks that failed for another reason."""
    error: SerializableErrorInfo | None = tick.error
    while error and error.cls_name != NotPosted.__name__:
        error = error.cause
    if error:
        yield Untold(datetime.fromtimestamp(_end(tick), UTC), text_of(error.message))
