"""The screen of `coordinator status`: the verdict, what is wrong and what to do, then the figures."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from coordinator_dagster.cli.console import printable
from coordinator_dagster.competition import Competition
from coordinator_dagster.health.finding import Finding, many, span
from coordinator_dagster.health.judging import healthy
from coordinator_dagster.health.readings import Contest, Dagster, Readings, Worker
from coordinator_dagster.release import version

MOST_FINDINGS, MOST_SERIES = 6, 3
MARKS = {"critical": ("✗", "bold red"), "warning": ("!", "yellow")}
Line = tuple[str, str]


def screen(competition: Competition, readings: Readings, findings: Sequence[Finding]) -> RenderableType:
    """Healthy or not first, in one line; then why, each with its remedy."""
    parts: list[RenderableType] = [_verdict(competition, readings, findings)]
    parts += [_finding(one) for one in findings[:MOST_FINDINGS]]
    if more := len(findings) - MOST_FINDINGS:
        parts += [Padding(f"and {more} more: --json", (0, 0, 0, 2))] if more > 0 else []
    figures = Table.grid(padding=(0, 2))
    figures.add_column(style="dim", no_wrap=True)
    figures.add_column(overflow="fold")
    for name, value in _figures(competition, readings):
        figures.add_row(name, Text(value))
    return Group(*parts, "", figures)


def _verdict(competition: Competition, readings: Readings, findings: Sequence[Finding]) -> Text:
    name, now = competition.settings.competition, f"{readings.now:%Y-%m-%d %H:%M:%S} UTC"
    bad = sum(one.severity == "critical" for one in findings)
    watched = len(findings) - bad
    if not healthy(list(findings)):
        return Text.assemble(("✗ ", "bold red"), (f"{name} is not healthy", "bold red"), (f"  {now}", "dim"))
    more = f", {watched} to be looked at" if watched else ""
    return Text.assemble(("✓ ", "bold green"), (f"{name} is healthy", "bold green"), more, (f"  {now}", "dim"))


def _finding(one: Finding) -> RenderableType:
    mark, style = MARKS[one.severity]
    row = Table.grid(padding=(0, 1))
    row.add_row("", Text(mark, style), Text(printable(one.why)))
    row.add_row("", "", Text(f"→ {one.remedy}", "cyan"))
    return row


def _figures(competition: Competition, readings: Readings) -> Iterator[Line]:
    settings = competition.settings
    yield "competition", f"{settings.competition}, {settings.mode}, pack {competition.pack.id}, coordinator {version()}"
    yield "database", _database(competition, readings)
    if readings.contest is None:
        if readings.database and not readings.other_version:
            yield "begun", _not_begun(competition, readings)
        return
    contest = readings.contest
    if settings.mode == "live":
        yield from _live(contest, readings.dagster.releases if readings.dagster else {})
    yield "cycles", _cycles(contest)
    if latency := _latency(contest):
        yield "latency", latency
    yield "answers", _answers(contest)
    yield from _tape(contest, readings.now, settings.mode == "live")
    yield "settling", _settling(contest)
    yield "board", _board(contest)
    yield "models", ", ".join(f"{n} {state}" for state, n in sorted(contest.states().items())) or "none yet"
    yield "checks", _checks(readings.dagster)
    if readings.dagster:
        yield "jobs", _jobs(readings.dagster)


def _database(competition: Competition, readings: Readings) -> str:
    free = f"{readings.disk_free / 1e9:.0f} GB of disk are free"
    if readings.database is None:
        return f"away; {free}"
    size = f", {readings.contest.size / 1e6:,.0f} MB" if readings.contest else ""
    kind = "" if competition.settings.database_url else "embedded "
    return f"{kind}PostgreSQL {readings.database}, schema {competition.schema}{size}; {free}"


def _not_begun(competition: Competition, readings: Readings) -> str:
    if competition.settings.mode == "replay":
        return "not yet: `coordinator replay` or `coordinator demo` begins it"
    begins = f"; it begins at {competition.start:%Y-%m-%d %H:%M} UTC" if competition.start > readings.now else ""
    return f"not yet{begins}"


def _live(contest: Contest, releases: Mapping[str, str]) -> Iterator[Line]:
    yield "at work", _worker(contest.at_work, releases) if contest.at_work else "nobody"
    yield "waiting", ", ".join(_worker(one, releases) for one in contest.waiting) or "nobody"


def _worker(one: Worker, releases: Mapping[str, str]) -> str:
    window = f"window {one.window}" if one.window else "no window"
    release = f", release {releases[one.run][:6]}" if one.run in releases else ""
    return f"run {one.run[:8]}, {window}, since {one.since:%H:%M}{release}"


def _cycles(contest: Contest) -> str:
    every, due = contest.every, contest.due
    counts = f"last hour {every.performed} performed, {every.missed} missed"
    counts += f", {every.paused} paused" if every.paused else ""
    last = f"last {contest.last:%H:%M:%S}" if contest.last else "none yet"
    coming = f", next {due.next:%H:%M:%S}" if due.next else ""
    return f"{counts}; {last}{coming}" + (f"; paused: {due.paused}" if due.paused else "")


def _latency(contest: Contest) -> str:
    parts = [
        f"{what} {pair[0]:.2f} s (p99 {pair[1]:.2f} s)"
        for what, pair in (("asked after", contest.every.dispatched), ("stored after", contest.every.stored))
        if pair
    ]
    return ", ".join(parts)


def _answers(contest: Contest) -> str:
    answers = contest.answers
    if not answers:
        return "none in the last hour"
    rest = ", ".join(f"{n} {status}" for status, n in sorted(answers.items()) if status != "SUCCESS")
    return f"{answers['SUCCESS']} of {answers.total()} in time" + (f"; {rest}" if rest else "")


def _tape(contest: Contest, now: datetime, live: bool) -> Iterator[Line]:
    worst = sorted(contest.tape, key=lambda one: -(one.behind if one.behind is not None else float("inf")))
    for place, one in enumerate(worst[:MOST_SERIES]):
        through = f"{one.through:%H:%M:%S}" if one.through and one.through.date() == now.date() else f"{one.through}"
        known = f"through {through}" if one.through else "nothing yet"
        behind = f", {span(one.behind)} behind" if live and one.behind is not None else ""
        gaps = f", {many(one.gaps, 'gap')}" if one.gaps else ""
        yield "" if place else "tape", f"{one.series} {known}{behind}{gaps}"
    if more := contest.tape[MOST_SERIES:]:
        yield "", f"and {len(more)} more series that are less behind"


def _settling(contest: Contest) -> str:
    waiting = sum(one.cycles for one in contest.unsettled.values())
    longest = max((one.lag for one in contest.unsettled.values()), default=0.0)
    return f"{many(waiting, 'cycle')} without a truth yet, for {span(longest)} at most" if waiting else "nothing waits"


def _board(contest: Contest) -> str:
    board = contest.board
    if board is None:
        return "none yet"
    return f"of {board.end:%Y-%m-%d %H:%M}, {'final' if board.final else 'interim'}, made {span(board.age)} ago"


def _checks(found: Dagster | None) -> str:
    if found is None:
        return "Dagster has no tables here yet"
    if found.checked is None:
        return "none evaluated yet"
    failed = f"{len(found.checks)} failed" if found.checks else "all passed"
    return f"{failed}, at {found.checked:%Y-%m-%d %H:%M}"


def _jobs(found: Dagster) -> str:
    return ", ".join(f"{one.job} failed at {one.at:%H:%M}" for one in found.runs) or "none failed"
