"""Bring a backup back, also while the competition is live: all of it, or nothing is changed."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_fixed

from coordinator_dagster.backups.dump import Dump, read_dump
from coordinator_dagster.backups.hold import Hold, Statuses
from coordinator_dagster.clock import open_clock
from coordinator_dagster.competition import Competition
from coordinator_dagster.errors import UserErrors
from coordinator_dagster.live.cycles import miss
from coordinator_dagster.live.leasing import claim_of
from coordinator_dagster.release import version
from coordinator_dagster.runtime import open_runtime
from coordinator_dagster.store import backups
from coordinator_dagster.store.backups import InUse, Loss
from coordinator_dagster.store.database import MONTHLY, Database
from coordinator_dagster.store.leases import LeaseTable
from coordinator_dagster.store.migrating import revisions
from coordinator_dagster.store.store import database_url
from coordinator_dagster.windows import LENGTHS


@dataclass(frozen=True)
class Plan:
    """What would be restored, over tables of the revision `there` (None: there are none).

    `loss`: what they have that it has not; None: that is not known of another release's tables.
    """

    dump: Dump
    there: str | None
    loss: Loss | None


@dataclass(frozen=True)
class Restored:
    """Cycles that are MISSED since, from `since` until `until`, by the competition's clock.

    `refusals`: why the pack is not one to go on with, where it has changed since the backup.
    """

    missed: int
    since: datetime
    until: datetime
    refusals: list[str]


def plan(competition: Competition, file: Path) -> Plan:
    """Look at everything first; nothing is changed. UserErrors with all that is in the way."""
    dump = read_dump(file)
    faults = _faults(competition, dump)
    with closing(Database(database_url(competition), competition.schema)) as database:
        database.server_version()
        if lacking := backups.rights_lacking(database):
            faults.append(f"DATABASE_URL: {lacking}")
        if views := backups.dependents(database):
            faults.append(
                f"the schema {competition.schema}: {', '.join(views)} read it and would go with it; drop them, and "
                "make them again afterwards"
            )
        if faults:
            raise UserErrors(faults)
        dump.read_through()
        after = dump.cycles_through or dump.taken_at
        there = database.revision()
        known = there == revisions()[-1]
        return Plan(dump, there, backups.loss_since(database, after, dump.frozen) if known else None)


def _faults(competition: Competition, dump: Dump) -> list[str]:
    settings, faults = competition.settings, []
    if dump.schema != competition.schema:
        faults.append(
            f"{dump.file}: it is of the competition {dump.schema.replace('_', '-')}, and COMPETITION="
            f"{settings.competition}; restore it from the folder of that one"
        )
    if dump.revision not in revisions():
        faults.append(
            f"{dump.file}: its tables are of the revision {dump.revision}, which a newer release made; this one knows "
            f"those up to {revisions()[-1]}; install the newer release, then restore"
        )
    fixed = {
        "MODE": (settings.mode, dump.mode),
        "COMPETITION_START": (settings.competition_start, dump.start),
        "WINDOW": (settings.window, dump.window),
    }
    return faults + [
        f"{name}={here}: the backup {dump.file} is of a competition that was begun with {there}; set it so"
        for name, (here, there) in fixed.items()
        if here is not None and here != there
    ]


def restore(competition: Competition, dump: Dump, statuses: Statuses, told: Callable[[str], None]) -> Restored:
    """Replace the competition's tables by the backup's, at this code's revision.

    Whoever works for it ends first: what a run has in memory must not meet other tables. `statuses` says how Dagster
    has runs. Runs that come wait, and go on when it is done. The cycles that were due since the backup are MISSED.
    """
    asked = datetime.now(UTC)
    holder = f"the restore of {dump.file.name} at {asked:%Y-%m-%d %H:%M:%S.%f} UTC"
    live, clock = competition.settings.mode == "live", open_clock(competition.settings.clock_url)
    with closing(Database(database_url(competition), competition.schema)) as database:
        hold = Hold(LeaseTable(database), holder, lambda: _claims(competition, clock.now()), database.has("leases"))
        hold.seize()
        why = f"{holder} was under way, and came to nothing"
        try:
            with hold.kept():
                _replace(database, dump, hold, statuses, told)
                hold.there = True
                restored = _tidy(competition, dump, holder, live)
            why = f"{holder} was under way"
        finally:
            if hold.there:
                hold.release({"by": holder, "why": why})
    return restored


@retry(retry=retry_if_exception_type(InUse), stop=stop_after_attempt(3), wait=wait_fixed(1), reraise=True)
def _replace(database: Database, dump: Dump, hold: Hold, statuses: Statuses, told: Callable[[str], None]) -> None:
    """Once nobody works; again, where somebody came to work at the last moment."""
    hold.wait(statuses, told)
    told("replacing the tables")
    backups.replace(database, dump.script, dump.taken_at, version(), hold.names, hold.holder)


def _claims(competition: Competition, now: datetime) -> list[str]:
    """On the windows that a run may begin or still close."""
    first = competition.windows.at(max(now, competition.start))
    return [claim_of(one) for one in (first, competition.windows.at(first.end))]


def _tidy(competition: Competition, dump: Dump, holder: str, live: bool) -> Restored:
    """What the tables need before the next one works: the present months, and the cycles that were lost."""
    with open_runtime(competition, as_it_stands=True) as runtime:
        now, refusals = runtime.clock.now(), runtime.store.configs.refusals(competition.pack)
        since = competition.windows.at(max(dump.cycles_through or dump.taken_at, competition.start)).start
        why = f"lost by {holder}: the backup was taken at {dump.taken_at:%Y-%m-%d %H:%M:%S} UTC, before this cycle"
        if not live:
            return Restored(0, since, now, refusals)
        for table in MONTHLY:  # who was at work knows them to be there
            runtime.store.database.ensure_months(table, now, now + LENGTHS["day"])
        return Restored(miss(runtime, since, now, why), since, now, refusals)
