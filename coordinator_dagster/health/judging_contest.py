"""What the competition's tables mean: live runs, cycles, answers, the tape, settling, models."""

from collections.abc import Iterator

from coordinator_dagster.health.finding import Finding, many, some, span
from coordinator_dagster.health.readings import Contest, Due

OVERDUE_CADENCES, OVERDUE_SECONDS = 2, 60.0  # so long after its instant nobody performs a cycle any more
BEHIND_SECONDS = 60.0  # of a series; inputs are old by then, and truths wait
LATE_SHARE = 0.1  # of the answers of the last hour
FAULT_SHARE = 0.05
OLD_GAP_SECONDS = 12 * 3600.0  # after a day the cycles that need it are VOID
STUCK_SECONDS = 3600.0
GIVEN_UP_SECONDS = 25 * 3600.0  # a truth from elsewhere is VOID a day after it could have come


def judge_contest(contest: Contest, live: bool) -> list[Finding]:
    """A replay has no present: only what is stored of it is judged."""
    findings = [*_gaps(contest, live), *_models(contest)]
    if live:
        findings += [*_live_runs(contest), *_cycles(contest), *_answers(contest), *_tape(contest)]
        findings += [*_settling(contest), *_board(contest)]
    return findings


def overdue(due: Due) -> bool:
    """A cycle was due, long enough ago, and nobody has performed it or any later one."""
    limit = OVERDUE_CADENCES * (due.cadence or 0.0) + OVERDUE_SECONDS
    return due.cadence is not None and due.overdue > limit


def _live_runs(contest: Contest) -> Iterator[Finding]:
    if contest.due.working and not contest.at_work:
        yield Finding(
            "live run",
            "critical",
            "no live run is at work: cycles are MISSED until there is one",
            "`coordinator live`; if it runs, look in the UI whether the daemon and the live-run sensor are on",
        )
    elif contest.due.waiting and not contest.waiting:
        yield Finding(
            "waiting run",
            "warning",
            "no second live run waits: were the first one lost, cycles would be MISSED until the next has started",
            "the live-run sensor starts it within seconds; if it does not, see its last look in the UI",
        )


def _cycles(contest: Contest) -> Iterator[Finding]:
    if overdue(contest.due):
        since = f"the last one was performed at {contest.last:%H:%M:%S}" if contest.last else "none was ever performed"
        yield Finding(
            "overdue",
            "critical",
            f"a cycle is overdue for {span(contest.due.overdue)}; {since}",
            "see the log of the live run in the UI (`make live` prints it), and `coordinator doctor`",
        )
    every = contest.every
    if every.missed:
        lately = f", {every.missed_lately} of them in the last 10 minutes" if every.missed_lately else ""
        yield Finding(
            "missed",
            "critical" if every.missed_lately else "warning",
            f"{every.missed} of {every.performed + every.missed} cycles of the last hour were MISSED"
            f"{lately}; most often: {every.reason}",
            "`cycles.reason` says why; charged to nobody, and gone for good",
        )
    for config, one in contest.by_config.items():
        within = contest.start_within.get(config)
        if within is not None and one.dispatched and one.dispatched[1] > within:
            yield Finding(
                f"latency {config}",
                "warning",
                f"one cycle of a hundred of {config} asks its models {span(one.dispatched[1])} after the instant; what "
                f"starts later than {span(within)} is MISSED",
                "see `coordinator tape` for data that come late; else the machine is too small or too busy",
            )


def _answers(contest: Contest) -> Iterator[Finding]:
    answers = contest.answers
    asked = answers.total() - answers["SUSPENDED"]
    if not asked:
        return
    if not answers["SUCCESS"]:
        yield Finding(
            "answers",
            "critical",
            f"none of {asked} answers of the last hour came as it should: most likely the fault is ours",
            "`coordinator verify`; the check `health` in the UI",
        )
    elif (late := answers["LATE"] + answers["TIMEOUT"]) > LATE_SHARE * asked:
        yield Finding(
            "late answers",
            "warning",
            f"{late} of {asked} answers of the last hour came too late or never ({late / asked:.0%})",
            "see `queueing` in the check `health`: fewer models, or more processors; else the models are slow",
        )
    if faults := answers["PLATFORM_FAULT"]:
        yield Finding(
            "platform faults",
            "critical" if faults > FAULT_SHARE * asked else "warning",
            f"{faults} of {asked} answers of the last hour were lost by us ({faults / asked:.1%})",
            "the check `health` in the UI has the reasons (`our_faults`); they are charged to nobody",
        )


def _tape(contest: Contest) -> Iterator[Finding]:
    behind = [one for one in contest.tape if one.behind is None or one.behind > BEHIND_SECONDS]
    if behind and contest.due.working:
        names = [f"{one.series} ({span(one.behind) if one.behind is not None else 'nothing yet'})" for one in behind]
        yield Finding(
            "tape",
            "critical",
            f"market data are behind: {some(names)}",
            "`coordinator doctor` asks the feed; what lacks is fetched by itself once it is back",
        )


def _gaps(contest: Contest, live: bool) -> Iterator[Finding]:
    if holes := [one for one in contest.tape if one.gaps]:
        oldest = max(one.gap_age for one in holes)
        names = some([f"{one.gaps} in {one.series}" for one in holes])
        yield Finding(
            "gaps",
            "critical" if live and oldest > OLD_GAP_SECONDS else "warning",
            f"market data lack something: {names}; the oldest gap is known for {span(oldest)}",
            "`coordinator tape` names them; they are asked for again by themselves, after a day their cycles are VOID",
        )


def settle_limit(contest: Contest, external: bool) -> float:
    """Seconds after which a truth should be there; one from elsewhere has a day."""
    return GIVEN_UP_SECONDS if external else contest.settle_within


def _settling(contest: Contest) -> Iterator[Finding]:
    for config, one in contest.unsettled.items():
        limit = settle_limit(contest, one.external)
        if one.lag > limit:
            yield Finding(
                f"settling {config}",
                "critical" if one.lag > max(limit, STUCK_SECONDS) else "warning",
                f"{many(one.cycles, 'cycle')} of {config} could have a truth and have none, the oldest for "
                f"{span(one.lag)} ({span(limit)} at most when all is well)",
                "`coordinator tape`: a truth waits for its series; else the watermark sensor's last look in the UI",
            )


def _board(contest: Contest) -> Iterator[Finding]:
    """Settling renews the board at each checkpoint, where cycles come."""
    age = contest.board.age if contest.board else None
    steady = contest.at_work and contest.every.performed and not overdue(contest.due)
    if age is not None and steady and age > contest.board_within:
        yield Finding(
            "board",
            "critical" if age > STUCK_SECONDS else "warning",
            f"the leaderboard was made {span(age)} ago, though cycles go on",
            "see the live run's log in the UI: an aggregator or ranker that fails says so there",
        )


def _models(contest: Contest) -> Iterator[Finding]:
    states = contest.states()
    taking_part = states["active"] + states["suspended"]
    if suspended := [one for one in contest.models if one.state == "suspended"]:
        en_masse = 2 * len(suspended) >= taking_part and taking_part > 1
        yield Finding(
            "suspended",
            "critical" if en_masse else "warning",
            f"{len(suspended)} of {taking_part} models are suspended: {some([one.name for one in suspended])}",
            "so many at once are most likely our fault: `coordinator verify`"
            if en_masse
            else "`coordinator models log ID` says why; a new deployment ends it",
        )
    if failing := [one for one in contest.models if one.failing]:
        yield Finding(
            "failing",
            "warning",
            f"{many(len(failing), 'model')} answered less than half in the last hour: "
            f"{some([one.name for one in failing])}",
            "`coordinator models log ID`; the check `health` in the UI has their failures",
        )
    if contest.due.working and contest.last and not taking_part:
        yield Finding("models", "critical", "no model takes part", "`coordinator models add FOLDER`")
