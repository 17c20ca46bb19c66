"""Saved and brought back while it is live: it goes on by itself, and what was lost is MISSED, saying so."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from coordinator_dagster.audit import audit
from coordinator_dagster.backups.backup import back_up
from coordinator_dagster.backups.restore import plan, restore
from coordinator_dagster.competition import Competition
from coordinator_dagster.live.leasing import LeaseLost
from coordinator_dagster.packs import available_packs
from coordinator_dagster.runtime import open_runtime
from coordinator_dagster.store.database import Database
from slots.market import utc
from tests.live.running import run_one
from tests.live.telling import Kept

pytestmark = pytest.mark.venue
SPEED, EVERY = 5, 5  # one real second a cycle
START = utc("2023-03-23T12:10Z")
ENDED = "select performed_at, status, reason from cycles where status in ('PERFORMED', 'MISSED') order by 1"


class Working:
    """Live runs, each in a thread of its own, and how they ended."""

    def __init__(self, made: Competition) -> None:
        self.made, self.threads, self.ends = made, dict[str, threading.Thread](), dict[str, str]()
        self.stop = threading.Event()

    def begin(self, holder: str) -> None:
        self.threads[holder] = threading.Thread(target=asyncio.run, args=(self._work(holder),))
        self.threads[holder].start()

    async def _work(self, holder: str) -> None:
        run = asyncio.create_task(run_one(self.made, self.made.windows.at(START), holder, Kept()))
        while not run.done() and not self.stop.is_set():
            await asyncio.wait({run}, timeout=0.1)
        run.cancel()
        try:
            with suppress(asyncio.CancelledError):
                await run
        except LeaseLost as error:
            self.ends[holder] = str(error)

    def statuses(self, runs: Iterable[str]) -> Mapping[str, str]:
        """As Dagster has them."""
        return {one: "STARTED" if self.threads[one].is_alive() else "FAILURE" for one in runs}

    def end(self) -> None:
        self.stop.set()
        for one in self.threads.values():
            one.join()


def test_a_live_competition_goes_on(
    venue: Callable[..., Any], live: Callable[..., Competition], tmp_path: Path
) -> None:
    pack = json.loads(available_packs()["realtime"].read_text())
    pack["scheduled_prediction_configs"][0]["schedule"] = {"every_seconds": EVERY}
    pack["input_wait_seconds"] = 2.0
    (tmp_path / "quick.json").write_text(json.dumps(pack))
    file = tmp_path / "a.dump"
    with venue(START.isoformat(), SPEED) as url:
        made = live(
            url, pack="quick.json", competition_start=START.replace(minute=0).isoformat(), feed_backfill_minutes=1
        )
        working = Working(made)
        url_of = made.settings.database_url
        assert url_of
        database = Database(url_of.get_secret_value(), made.schema)
        try:
            working.begin("run 1")
            first = performed_after(database, START)
            saved = back_up(made, file, False, lambda size: None)
            through = saved.dump.cycles_through
            assert through and through >= first
            lost = performed_after(database, through + 2 * timedelta(seconds=EVERY))  # while it was saved it went on
            meanwhile = database.read(ENDED)
            assert all(row.status == "PERFORMED" for row in meanwhile if row.performed_at >= first), meanwhile
            planned = plan(made, file)
            assert planned.loss and planned.loss.cycles >= 3

            def told(text: str) -> None:
                if text.startswith("replacing"):  # by then the first one has ended; the sensor starts another
                    assert "a restore" in working.ends["run 1"]
                    working.begin("run 2")

            done = restore(made, planned.dump, working.statuses, told)
            again = performed_after(database, done.until)
            performed_after(database, again)
        finally:
            working.end()
        ended = database.read(ENDED)
        database.close()
        missed = {row.performed_at: row.reason for row in ended if row.status == "MISSED" and row.performed_at >= first}
        assert {t for t in missed if t > through} == set(every(through, again)), (
            "nothing but what was lost, and all of it"
        )
        assert min(missed) > through
        assert missed[lost].startswith("lost by the restore of a.dump at "), missed[lost]
        assert all("the restore of a.dump at " in reason for reason in missed.values()), missed
        with open_runtime(made) as runtime:
            assert audit(runtime.store.database, runtime.clock.now()) == []


def every(after: datetime, before: datetime) -> list[datetime]:
    """The instants between them."""
    return [after + n * timedelta(seconds=EVERY) for n in range(1, int((before - after).total_seconds()) // EVERY)]


def performed_after(database: Database, moment: datetime) -> datetime:
    """The first later instant that was performed, waited for."""
    for _ in range(300):
        if database.has("cycles"):
            rows = database.read(
                "select min(performed_at) as at from cycles where status = 'PERFORMED' and performed_at > :moment",
                moment=moment,
            )
            if rows[0].at:
                return rows[0].at  # type: ignore[no-any-return]
        threading.Event().wait(0.1)
    raise AssertionError(f"nothing was performed after {moment} for 30 s")
