"""A live competition's cycles without a live run: each instant at its time, one after the other."""

from collections.abc import Collection
from datetime import datetime, timedelta

from coordinator_dagster.clock import FixedClock
from coordinator_dagster.live.instant import Performer, Plan
from coordinator_dagster.runtime import Runtime


def perform_live(runtime: Runtime, until: datetime, fail_over: Collection[datetime] = ()) -> None:
    """Perform what is due from the competition's start through `until`, as a live run would have.

    At the instants of `fail_over` another run takes over, which knows only what is stored.
    """
    clock, performer = runtime.clock, Performer(runtime)
    assert isinstance(clock, FixedClock)
    now, schedule = clock.moment, runtime.store.schedule(runtime.competition)
    performer.freshen()
    t = schedule.next_instant(runtime.competition.start - timedelta(microseconds=1))
    while t is not None and t <= until:
        if t in fail_over:
            performer = Performer(runtime)
            performer.freshen()
        clock.moment = t + timedelta(milliseconds=500)
        performed = performer.perform(Plan(t, schedule.due_at(t), schedule, t + timedelta(seconds=30)), "")
        window = runtime.competition.windows.at(t)
        runtime.store.cycles.add(window, performed.cycles, performed.forecasts, performed.given)
        t = schedule.next_instant(t)
    clock.moment = now
