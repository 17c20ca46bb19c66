"""A submission answers a few sample instants, as it will in the contest: what would go wrong, before it does."""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from coordinator_dagster.competition import Competition
from coordinator_dagster.dry_run import BEFORE, NOW, sample_series, sample_tape
from coordinator_dagster.orders import Orders
from coordinator_dagster.runners.base import Answer, Call, ModelInfo
from coordinator_dagster.runners.choice import open_local_runner
from coordinator_dagster.runners.logs import last_lines
from coordinator_dagster.runners.submission import plain
from coordinator_dagster.schedule import Schedule, Term
from coordinator_dagster.stages.cycle import ASKING_SLOTS, answered, prepare
from coordinator_dagster.stages.facts import Cycle, Forecast, StoredInput
from coordinator_dagster.stages.inputs import build_input
from slots.loader import Slot, SlotFailure

INSTANTS = 3
TAIL_LINES, TAIL_LENGTH = 15, 2_000  # of what the model printed
SHOWN = 200  # characters of a call or an answer
SLOTS = ("RAW_INPUT_PROVIDER", "INFERENCE_INPUT_BUILDER", *ASKING_SLOTS)


@dataclass
class Rehearsal:
    """How it went: what is wrong, what may become so; the slowest answer and what is allowed, in seconds."""

    faults: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    slowest: float = 0.0
    allowed: float = 0.0


def rehearse(competition: Competition, folder: Path, info: ModelInfo) -> Rehearsal:
    """Start the model in `folder`, the only one beside it, confined as all are, and ask it INSTANTS sample instants.

    It ends with the first instant that goes wrong. SlotErrors or SlotFailure when a slot of the contest does.
    Neither database nor feed is asked.
    """
    slots, found = competition.slots(*SLOTS), Rehearsal()
    with (
        tempfile.TemporaryDirectory(prefix="coordinator-check-") as logs,
        open_local_runner(competition, folder.parent, Path(logs)) as runner,
    ):
        runner.fresh()
        for number, given in enumerate(sample_inputs(competition, slots), 1):
            configs = competition.pack.configs
            cycles = prepare(competition.pack, slots, given, configs)
            calls = [Call(**(cycle.call or {})) for cycle in cycles]
            answers = runner.ask(given.payload, calls, competition.timeout(configs))
            facts = answered(slots["INFERENCE_OUTPUT_VALIDATOR"], cycles, answers, [info], Orders(), {}, {})
            _judge(competition, found, number, answers[info.id], facts)
            if found.faults:
                break
        printed = last_lines(Path(logs), info.id, folder, TAIL_LINES, TAIL_LENGTH)
    if found.slowest > found.allowed / 2:
        slow = f"its slowest answer took {found.slowest:.2f} s of {found.allowed:g} s allowed"
        found.warnings.append(f"{slow}; in the contest it shares the machine with the others")
    if found.faults and printed:
        found.faults.append("\n  ".join(["the last of what it printed:", *printed]))
    return found


def sample_inputs(competition: Competition, slots: dict[str, Slot]) -> list[StoredInput]:
    """The inputs of the sample instants, built by the contest's own slots from the sample tape."""
    pack, window = competition.pack, competition.settings.feed_candles_window
    apart = max(config.every for config in pack.configs)
    series = sample_series(pack)
    back = (INSTANTS - 1) * apart
    longest = max((one.step for one in series), default=timedelta(0))
    source = sample_tape(series, max(BEFORE, back + (window + 1) * longest), timedelta(0))
    schedule = Schedule([Term(config, NOW - back, None) for config in pack.configs], Orders())
    return [
        build_input(competition, schedule, slots, source, series, t, t + pack.input_wait)
        for t in (NOW - back + n * apart for n in range(INSTANTS))
    ]


def _judge(
    competition: Competition, found: Rehearsal, number: int, answers: Sequence[Answer], facts: Sequence[Forecast]
) -> None:
    """Note what is wrong with the answers to an instant, each fault once."""
    for answer, fact in zip(answers, facts, strict=True):
        cycle = fact.cycle
        assert cycle.cut_off and cycle.answer_by
        allowed = (cycle.answer_by - cycle.cut_off).total_seconds()
        if fact.status != "SUCCESS":
            if (fault := _fault(competition, number, cycle, fact)) not in found.faults:
                found.faults.append(fault)
            continue
        if answer.reason:  # it answered, though `tick` raised
            found.warnings.append(f"instant {number} of {INSTANTS}: {plain(answer.reason)}")
        if answer.elapsed >= found.slowest:
            found.slowest, found.allowed = answer.elapsed, allowed


def _fault(competition: Competition, number: int, cycle: Cycle, fact: Forecast) -> str:
    """What was asked, what was expected, what came."""
    reason = plain(fact.meta["reason"])
    if reason.startswith("could not start"):
        return reason
    call = cycle.call or {}
    given = [*map(repr, call["args"]), *(f"{name}={value!r}" for name, value in call["kwargs"].items())]
    asked = f"predict({', '.join(given):.{SHOWN}})"
    raw = f"; it answered {fact.meta['raw']:.{SHOWN}}" if "raw" in fact.meta else ""
    where = f"instant {number} of {INSTANTS}, {asked} for {cycle.config_id}"
    return f"{where}: {fact.status}: {reason}{raw}; {_wanted(competition, cycle)}"


def _wanted(competition: Competition, cycle: Cycle) -> str:
    """The pack's example of an answer, unless the contest refuses that one, too."""
    validator, example = competition.slots("INFERENCE_OUTPUT_VALIDATOR"), competition.pack.example_output
    shown = f"{json.dumps(example):.{SHOWN}}"
    try:
        validator["INFERENCE_OUTPUT_VALIDATOR"](inference_output=example, scope=cycle.scope)
    except SlotFailure:
        return f"the pack's example_output {shown} is refused, too: set it to an answer that the contest accepts"
    return f"expected is an answer such as {shown}"
