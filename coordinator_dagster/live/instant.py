"""One instant, on the way of a cycle: cut off, build the input, ask, store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from coordinator_dagster.packs import PredictionConfig
from coordinator_dagster.runners.base import Answer, Call
from coordinator_dagster.runtime import Runtime
from coordinator_dagster.schedule import Schedule
from coordinator_dagster.stages.cycle import ASKING_SLOTS, answered, missed, prepare, said
from coordinator_dagster.stages.facts import Cycle, Forecast, StoredInput
from coordinator_dagster.stages.ingest import contest_series
from coordinator_dagster.stages.inputs import build_input
from coordinator_dagster.stages.suspension import Suspensions
from coordinator_dagster.store.tape_memory import TapeMemory
from coordinator_dagster.windows import Window
from slots.loader import Slot
from slots.market import Series

TOLERANCE = 10  # a cycle starts within this part of its cadence after its input had to be there


@dataclass(frozen=True)
class Plan:
    """What is due at `t` and by when the models must be free for the next instant."""

    t: datetime
    configs: Sequence[PredictionConfig]
    schedule: Schedule
    free_by: datetime


@dataclass
class Performed:
    """What came of an instant; without `given` nobody was asked."""

    cycles: list[Cycle]
    forecasts: list[Forecast] = field(default_factory=list)
    given: StoredInput | None = None


class Performer:
    """Performs instants, one at a time, in a thread of its own. Everything slow is done before the first."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._slots: Mapping[str, Slot] = runtime.competition.slots(
            "RAW_INPUT_PROVIDER", "INFERENCE_INPUT_BUILDER", *ASKING_SLOTS
        )
        self.series: tuple[Series, ...] = contest_series(runtime.competition, runtime.feed)
        self._joined: dict[str, datetime] = {}
        self._suspensions: tuple[Window, Suspensions] | None = None
        self._unsynced = False  # the models have changed, and the database has not been told
        look_back = 2 * (runtime.competition.settings.feed_candles_window + 1)  # some may not have arrived in time
        self._tape = TapeMemory(runtime.store.tape, self.series, look_back)

    def freshen(self) -> None:
        """Start every model anew, as at the beginning of a window."""
        self._runtime.runner.fresh()
        self._runtime.store.cycles.sync_models(self._runtime.runner.models())
        self._joined = self._runtime.store.cycles.joined()
        with self._runtime.store.database.transaction() as connection:
            self._tape.refresh(connection)

    def suspensions(self, t: datetime) -> Suspensions:
        """Those of the window of `t`; of one that is new here as its stored forecasts say, whoever performed them."""
        window = self._runtime.competition.windows.at(t)
        if self._suspensions is None or self._suspensions[0] != window:
            found = self._runtime.competition.suspensions(window)
            for instant, answers in self._runtime.store.cycles.said(window).items():
                found.tell(instant, answers)
            self._suspensions = window, found
        return self._suspensions[1]

    def rest(self) -> None:
        """Between two instants: the models stand still, and those that changed are taken up."""
        self._unsynced |= self._runtime.runner.rest()
        if self._unsynced:  # the database may be away: then this is called again
            self._runtime.store.cycles.sync_models(self._runtime.runner.models())
            self._unsynced = False

    def start_by(self, t: datetime, config: PredictionConfig) -> datetime:
        """When a cycle must have begun: after that it is MISSED."""
        return t + self._runtime.competition.pack.input_wait + config.every / TOLERANCE

    def perform(self, plan: Plan, why_late: str) -> Performed:
        """Ask the models what is due. Cycles that could not start in time are MISSED, and `why_late` says why."""
        clock, store, pack = self._runtime.clock, self._runtime.store, self._runtime.competition.pack
        with store.tape.held() as connection:
            cut_off = clock.now()
            self._tape.refresh(connection)
            schedule = replace(plan.schedule, orders=store.orders.read(connection))
        late = [one for one in plan.configs if cut_off > self.start_by(plan.t, one)]
        due = [one for one in plan.configs if one not in late]
        reason = f"it could not start in time: {(cut_off - plan.t).total_seconds():.3f} s after its instant; {why_late}"
        cycles = [missed(one, plan.t, reason) for one in late]
        if not due:
            return Performed(cycles)
        given = build_input(self._runtime.competition, schedule, self._slots, self._tape, self.series, plan.t, cut_off)
        asking = prepare(pack, self._slots, given, due)
        began = clock.now()
        timeout_of_all = self._runtime.competition.timeout(due)
        timeout = min(timeout_of_all, (plan.free_by - began).total_seconds())
        runner = self._runtime.runner
        calls = [Call(**(one.call or {})) for one in asking]
        suspensions, models = self.suspensions(plan.t), runner.models()
        suspended = suspensions.at(plan.t, {model.id: model.deployment for model in models})
        skipped = {*suspended, *schedule.orders.without((one.id for one in models), plan.t)}
        answers = runner.ask(given.payload, calls, max(0.0, timeout) / clock.speed, skipped)
        sent = began + timedelta(seconds=runner.dispatch_seconds * clock.speed)
        asking = [replace(one, dispatched_at=sent) for one in asking]
        full = min(timeout_of_all, *(pack.deadline(one).total_seconds() for one in due))
        scaled = {model: [_judged(one, clock.speed, timeout, full) for one in own] for model, own in answers.items()}
        validator, waited = self._slots["INFERENCE_OUTPUT_VALIDATOR"], began - cut_off
        forecasts = answered(validator, asking, scaled, models, schedule.orders, self._joined, suspended, waited)
        suspensions.tell(plan.t, said(forecasts))  # the last step: where one before it fails, nothing is stored
        return Performed(cycles + asking, forecasts, given)


def _judged(answer: Answer, speed: float, timeout: float, full: float) -> Answer:
    """The runner measures in real seconds; and a model that we gave less than its full time did not fail."""
    if answer.status == "TIMEOUT" and timeout < full:
        reason = f"killed after {timeout:.3f} s, for the next instant was near; it may take {full:g} s"
        return Answer("PLATFORM_FAULT", answer.elapsed * speed, reason=reason)
    return answer._replace(elapsed=answer.elapsed * speed)
