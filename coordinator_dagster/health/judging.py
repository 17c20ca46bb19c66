"""From readings to findings: a pure function, the one place where it is said what is healthy."""

from collections.abc import Iterator

from coordinator_dagster.competition import Competition
from coordinator_dagster.health.finding import Finding, many, some, span
from coordinator_dagster.health.judging_contest import judge_contest
from coordinator_dagster.health.readings import Dagster, Readings

LOW_DISK, NO_DISK = 5e9, 1e9  # bytes
UNCHECKED_SECONDS = 3 * 3600.0


def judge(competition: Competition, readings: Readings) -> list[Finding]:
    """What is to be known, what is critical first. Nothing critical: it is healthy."""
    findings = [*_database(competition, readings), *_disk(readings)]
    if readings.contest:
        findings += judge_contest(readings.contest, competition.settings.mode == "live")
    if readings.dagster:
        findings += [*_checks(readings.dagster), *_runs(readings.dagster)]
        if readings.contest and readings.contest.due.working:
            findings += _unchecked(readings.dagster, (readings.now - competition.start).total_seconds())
    return sorted(findings, key=lambda one: one.severity)


def healthy(findings: list[Finding]) -> bool:
    return all(one.severity != "critical" for one in findings)


def _database(competition: Competition, readings: Readings) -> Iterator[Finding]:
    live = competition.settings.mode == "live"
    if readings.away:
        remedy = "start the server, or mend DATABASE_URL; what runs waits for it, and cycles meanwhile are MISSED"
        if not competition.settings.database_url:
            remedy = f"`coordinator {'live' if live else 'dev'}` starts it"
        yield Finding("database", "critical", f"it cannot be read: {readings.away}", remedy)
    elif readings.other_version:
        yield Finding(
            "database",
            "critical",
            "the tables are of another version of the coordinator",
            "run this by the version that made them; `coordinator leaderboard` brings older tables up to date",
        )
    elif readings.contest is None and live and readings.now >= competition.start:
        given = competition.settings.competition_start
        due = f", and is due since {given:%Y-%m-%d %H:%M} UTC" if given else ""
        yield Finding(
            "begun",
            "critical",
            f"the competition has not begun: it has no tables yet{due}",
            "`coordinator live` begins it",
        )


def _disk(readings: Readings) -> Iterator[Finding]:
    if readings.disk_free < LOW_DISK:
        yield Finding(
            "disk",
            "critical" if readings.disk_free < NO_DISK else "warning",
            f"{readings.disk_free / 1e9:.1f} GB are free on this machine",
            "`coordinator expire --dry-run` says what of the tape could go; MARKET_RECORD_TTL_DAYS; or add disk",
        )


def _checks(found: Dagster) -> Iterator[Finding]:
    for severity in ("ERROR", "WARN"):
        if failed := [one for one in found.checks if one.severity == severity]:
            names = some([f"{one.check} of {one.asset}" for one in failed])
            yield Finding(
                f"checks {severity}",
                "critical" if severity == "ERROR" else "warning",
                f"{many(len(failed), 'asset check')} failed with {severity}: {names}",
                "the check's page in the UI lists windows and rows; `coordinator audit` prints the broken rules",
            )


def _unchecked(found: Dagster, begun: float) -> Iterator[Finding]:
    """`begun`: seconds since the competition's start, from which those count that were never evaluated."""
    if (begun if found.age is None else found.age) > UNCHECKED_SECONDS:
        ever = "never evaluated" if found.age is None else f"evaluated {span(found.age)} ago"
        yield Finding(
            "checks old",
            "warning",
            f"the asset checks were {ever}, and should be every hour",
            "turn their schedule on in the UI; without the daemon nothing there runs",
        )


def _runs(found: Dagster) -> Iterator[Finding]:
    if found.runs:
        names = some([f"{one.job} (run {one.run[:8]})" for one in found.runs])
        yield Finding(
            "runs",
            "warning",
            f"the newest run failed of {names}",
            "the run's page in the UI says why; mend that and launch it again, live runs start by themselves",
        )
