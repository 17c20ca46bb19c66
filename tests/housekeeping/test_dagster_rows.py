"""What leaves Dagster's tables, and that nothing is shown otherwise afterwards."""

from typing import Any

import pytest

from coordinator_dagster.housekeeping import Report, clean_dagster
from coordinator_dagster.store import dagster_rows
from coordinator_dagster.store.dagster_rows import DagsterRows, Owner
from tests.backups.conftest import production
from tests.housekeeping.conftest import Past
from tests.housekeeping.history import SCHEMA

OURS = Owner(None, ["__ephemeral_asset_job__", f"{SCHEMA}_live"], SCHEMA)
GONE = {"done again since", "failed, and done again", "unpartitioned, done again", "live, before another"}


def clean(past: Past, owner: Owner = OURS, days: int = 30) -> Report:
    report = Report()
    clean_dagster(past.instance, owner, days, 60, report)
    return report


def left(past: Past) -> set[str]:
    return {name for name, run in past.runs.items() if past.instance.get_run_by_id(run)}


def test_what_hangs_on_nothing_goes_and_all_looks_the_same(past: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dagster_rows, "BATCH_ROWS", 7)
    past.age(31, young="young")
    before, young, counted = past.answers(), past.events("young"), past.counts()
    report = clean(past)
    assert (past.runs.keys() - left(past), report.runs_deleted) == (GONE, len(GONE))
    assert past.answers() == before
    assert past.events("young") == young
    after = past.counts()
    assert counted["event_logs"] - after["event_logs"] == report.events_deleted > 100
    assert counted["asset_check_executions"] - after["asset_check_executions"] == report.check_executions_deleted > 0
    tags = past.rows("select count(*) from asset_event_tags where event_id not in (select id from event_logs)")
    assert tags[0][0] == 0
    again = clean(past)
    assert (again.runs_deleted, again.events_deleted, again.check_executions_deleted) == (0, 0, 0)


def test_what_stays_of_a_run_can_be_read(past: Past) -> None:
    past.age(31)
    clean(past)
    events = "select dagster_event_type, event from event_logs where run_id = :run"
    closed, failed = (past.rows(events, run=past.runs[name]) for name in ("live, closed", "failed, and nothing since"))
    assert {row[0] for row in closed} >= {"PIPELINE_START", "PIPELINE_SUCCESS", "ASSET_MATERIALIZATION"}
    assert not {row[0] for row in closed} & {None, "ENGINE_EVENT", "STEP_START", "STEP_SUCCESS", "LOGS_CAPTURED"}
    assert past.instance.get_run_stats(past.runs["live, closed"]).end_time
    assert any("as it was told to" in row[1] for row in failed), "why it failed"


@production
def test_killed_anywhere_the_next_night_goes_on(past: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException): ...

    def die(*_: Any) -> None:
        raise Killed

    past.age(31)
    before = past.answers()
    for of, name in ((type(past.instance), "delete_run"), (DagsterRows, "thin"), (DagsterRows, "forget_checks")):
        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(of, name, die)
            clean(past)
        assert past.answers() == before, name
    clean(past)
    assert past.answers() == before
    assert past.runs.keys() - left(past) >= GONE
    known = past.rows("select count(*) from event_logs where run_id not in (select run_id from runs)")
    assert known[0][0] == 0, "no event without its run"


def test_what_is_not_over_or_not_ours_stays(past: Past) -> None:
    past.age(31)
    running, queued, of_backfill, others = sorted(GONE)
    for name, status in ((running, "STARTED"), (queued, "NOT_STARTED")):
        past.rows("update runs set status = :status where run_id = :run", status=status, run=past.runs[name])
    past.rows("insert into bulk_actions (key, status, timestamp) values ('fill', 'REQUESTED', now())")
    past.rows("update runs set backfill_id = 'fill' where run_id = :run", run=past.runs[of_backfill])
    label = {"run": past.runs[others], "key": ".dagster/repository", "value": "__repository__@other"}
    past.rows("insert into run_tags (run_id, key, value) values (:run, :key, :value)", **label)
    untouched = {name: past.events(name) for name in (running, queued, others)}
    clean(past)
    assert left(past) >= GONE
    assert {name: past.events(name) for name in untouched} == untouched
    clean(past, Owner("__repository__@other", [], "other"))
    assert GONE - left(past) == {others}


def test_zero_days_lets_nothing_go(past: Past) -> None:
    past.age(1000)
    counted = past.counts()
    clean(past, days=0)
    assert past.counts() == counted
