"""Closed windows are settled by few runs: after downtime, when data come late, when slots have changed."""

import time
from dataclasses import replace
from datetime import datetime

import dagster as dg
from sqlalchemy import text

from coordinator_dagster.store.settling import Standing
from slots.market import utc
from tests.original_faults.world import HOUR, MINUTE, rows
from tests.sensors.lost_hours import SENSOR, LostHours, hours, span


def test_six_lost_hours_are_settled_by_one_run(lost: LostHours) -> None:
    assert "every window is settled" in str(lost.at("2026-01-05T02:03Z").look().skip_message), "a live run closes it"
    lost.at("2026-01-05T08:30Z")
    assert "until the tape has caught up" in str(lost.look().skip_message), "a live run may be fetching them"
    [request] = lost.later(seconds=30).look().run_requests
    assert span(request) == "05-01..05-07"
    assert request.tags["dagster/priority"] == "-1", "it gives way to live runs"
    assert float(request.tags["dagster/max_runtime"]) > 0, "if its machine dies it is not waited for for ever"
    assert lost.execute(request)
    assert lost.later(seconds=30).until_it_rests() == []
    assert lost.cycles() == {"PERFORMED": 120, "MISSED": 360}
    assert lost.boards() == dict.fromkeys(hours(0, 8), True)
    assert "every window is settled up to 2026-01-05 08:00" in str(lost.later(minutes=10).look().skip_message)


def test_while_the_tape_is_catching_up_it_waits(lost: LostHours) -> None:
    lost.at("2026-01-05T08:30Z")
    for hour in range(2, 8):
        assert "until the tape has caught up" in str(lost.look().skip_message), hour
        lost.runtime.ingest(lost.made.windows.between(hours(hour, 9)[0], hours(hour + 1, 9)[0]))
        lost.later(seconds=30)
    [request] = lost.look().run_requests
    assert span(request) == "05-01..05-07"


def test_a_run_that_is_not_finished_is_waited_for(lost: LostHours) -> None:
    lost.at("2026-01-05T08:30Z").look()
    job = lost.definitions.resolve_job_def(f"{lost.made.schema}_loop")
    for status in (dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTED):
        run = lost.instance.create_run_for_job(
            job, tags={"dagster/sensor_name": SENSOR.format(lost.made.schema)}, status=status
        )
        assert lost.later(hours=2).look().skip_message == f"waits for run {run.run_id} to end"
        lost.instance.report_run_failed(run)
    assert lost.look().run_requests


def test_a_failed_run_is_not_asked_for_again_at_once(lost: LostHours) -> None:
    lost.at("2026-01-05T08:05Z").look()
    lost.feed.down = True
    [request] = lost.later(seconds=30).look().run_requests
    assert not lost.execute(request), "the feed is down"
    assert [lost.later(minutes=5).look().run_requests for _ in range(9)] == [[]] * 9
    lost.feed.down = False
    lost.runtime.ingest(lost.made.windows.between(hours(2, 3)[0], hours(8, 9)[0]))
    [again] = lost.later(seconds=30).look().run_requests
    assert again.run_key != request.run_key, "the daemon would drop it"


def test_data_that_come_late_settle_what_waited(lost: LostHours) -> None:
    """Two candles of the last hour that was performed are missing; they come, and somebody fetches them."""
    _withhold_after_the_fact(lost)
    lost.at("2026-01-05T03:10Z").look()
    asked = lost.until_it_rests()
    assert asked == ["05-01..05-02"]
    unresolved = "select count(*) as n from cycles c where status = 'PERFORMED' and not exists (select from "
    unresolved += "ground_truths g where g.performed_at = c.performed_at)"
    assert rows(lost.runtime, unresolved) == [{"n": 3}]
    assert lost.boards()[hours(1, 2)[0]] is False
    assert "wait for data" in str(lost.look().skip_message)

    lost.feed.withheld = []
    lost.runtime.ingest(lost.made.windows.between(hours(1, 2)[0], hours(2, 3)[0]))
    assert lost.until_it_rests() == ["05-01..05-01"]
    assert rows(lost.runtime, unresolved) == [{"n": 0}]
    assert lost.boards() == dict.fromkeys(hours(0, 3), True)


def test_how_a_window_stands(lost: LostHours) -> None:
    """Hour 0 is settled, hour 1 was performed only, hour 2 was not."""
    versions = lost.made.truth_version(), lost.made.score_version()
    through, overdue = {"btc-60s": utc("2026-01-05T01:30Z")}, utc("2026-01-05T01:10Z")
    found = lost.runtime.store.settled.standings(hours(0, 3), HOUR, versions, through, overdue)
    first, second, third = (found[start] for start in hours(0, 3))
    assert (first.ended, first.waiting, first.overdue, first.final) == (60, 0, 0, True)
    assert (second.ended, second.waiting, second.overdue, second.final) == (0, 30, 10, None)
    assert third == Standing()


def test_a_new_version_of_the_slots_is_scored_anew(lost: LostHours) -> None:
    lost.at("2026-01-05T04:30Z").look()
    assert lost.until_it_rests() == ["05-01..05-03"]
    old = lost.made.score_version()
    lost.made = replace(lost.made, settings=lost.made.settings.model_copy(update={"slot_version": "2"}))
    lost.runtime.competition = lost.made
    del lost.definitions
    assert lost.until_it_rests() == ["05-00..05-03"]
    assert lost.made.score_version() != old
    assert lost.boards() == dict.fromkeys(hours(0, 4), True)
    assert lost.runtime.store.boards.latest_leaderboard().version == lost.made.score_version(), "it is shown"


def test_a_cursor_that_was_reset_finds_what_is_left(lost: LostHours) -> None:
    """Here a board that a killed run left interim, and hours that have closed since."""
    lost.at("2026-01-05T04:30Z").look()
    lost.until_it_rests()
    lost.cursor = None
    assert lost.until_it_rests() == []
    with lost.runtime.store.database.transaction() as connection:
        connection.execute(text("update leaderboards set final = false where window_start = '2026-01-05T02:00Z'"))
    lost.at("2026-01-05T06:30Z").cursor = None
    lost.look()
    assert lost.until_it_rests() == ["05-02..05-05"]
    assert lost.boards() == dict.fromkeys(hours(0, 6), True)


def test_after_the_end_nothing_is_left_to_ask(lost: LostHours) -> None:
    with lost.runtime.store.database.transaction() as connection:
        lost.runtime.store.orders.give(connection, "end", utc("2026-01-05T02:30Z"), "it rains", "test")
    lost.at("2026-01-06T12:00Z").look()
    assert lost.until_it_rests() == ["05-01..05-02", "05..05"], "the last windows, then the day's board"
    assert lost.cycles() == {"PERFORMED": 120, "MISSED": 30}
    assert len(rows(lost.runtime, "select from emission_checkpoints")) == 1


def test_an_idle_look_is_cheap_after_months(lost: LostHours) -> None:
    lost.at("2026-01-05T04:30Z").look()
    lost.until_it_rests()
    days = 31
    _settled_days(lost, hours(4, 5)[0], days)
    lost.clock.moment = hours(4, 5)[0] + days * 24 * HOUR + 30 * MINUTE
    assert len(lost.runtime.emit().frozen) == days
    most_windows, nothing = _timed_look(lost)
    while "none has closed since" not in str((found := lost.look()).skip_message):
        assert not found.run_requests
    lost.later(seconds=30)
    idle, still_nothing = _timed_look(lost)
    lost.cursor = None
    after_a_reset, nothing_again = _timed_look(lost)
    one_closed, something = _timed_look(lost.later(hours=1))
    assert (nothing, still_nothing, nothing_again, something) == (0, 0, 0, 1)
    print({"500 windows": most_windows, "idle": idle, "an hour closed": one_closed, "after a reset": after_a_reset})
    assert idle < 0.3 and one_closed < 0.3 and most_windows < 1.2
    assert after_a_reset < 1, "it looks at the look-back again, not at all of history"


def _timed_look(lost: LostHours) -> tuple[float, int]:
    """Seconds, and how many runs were asked for."""
    began = time.perf_counter()
    requests = lost.look().run_requests
    return time.perf_counter() - began, len(requests)


def _withhold_after_the_fact(lost: LostHours) -> None:
    """The venue lost 01:30 and 01:31 after the forecasts were made: the tape has a gap there."""
    first, last = utc("2026-01-05T01:30Z"), utc("2026-01-05T01:32Z")
    lost.feed.withheld = [(first, last)]
    with lost.runtime.store.database.transaction() as connection:
        connection.execute(
            text("delete from market_records where ts_event >= :a and ts_event < :b"), {"a": first, "b": last}
        )
    lost.runtime.ingest(lost.made.windows.between(hours(1, 2)[0], hours(2, 3)[0]))


def _settled_days(lost: LostHours, start: datetime, days: int) -> None:
    """Hours that are settled, written at once: a month's partitions, and windows that the sensor looks past."""
    span = {"start": start, "end": start + days * 24 * HOUR - MINUTE}
    versions = {"truths": lost.made.truth_version(), "scores": lost.made.score_version()}
    database = lost.runtime.store.database
    for table in ("forecasts", "scores"):
        database.ensure_months(table, span["start"], span["end"])
    with database.transaction() as connection:
        for statement in HISTORY:
            connection.execute(text(statement), span | versions)
        connection.execute(text("analyze"))  # as autovacuum does after so many rows


INSTANTS = "select t, t + interval '1 minute', {} from generate_series(:start, :end, interval '1 minute') t"
HISTORY = (
    "insert into cycles (performed_at, resolvable_at, prediction_config_id, window_start, status) "
    + INSTANTS.format("'btc-60s', date_trunc('hour', t), 'PERFORMED'"),
    "insert into forecasts (performed_at, resolvable_at, prediction_config_id, model_id, scope_key, scope_jsonb, "
    "status) " + INSTANTS.format("'btc-60s', 'a', 'x', '{}', 'SUCCESS'"),
    "insert into ground_truths (performed_at, resolvable_at, prediction_config_id, version, status) "
    + INSTANTS.format("'btc-60s', :truths, 'RESOLVED'"),
    "insert into scores (performed_at, resolvable_at, prediction_config_id, model_id, scope_key, version, status, "
    "score_value, score_success, due, answered) "
    + INSTANTS.format("'btc-60s', 'a', 'x', :scores, 'SCORED', 0, true, true, true"),
    "insert into score_rollups (version, window_end, model_id, scope_key, window_start, due, answered, scored, "
    "charged, score_sum, score_sum_squares) select :scores, t + interval '1 hour', 'a', 'x', t, 60, 60, 60, 0, 0, 0 "
    "from generate_series(:start, :end, interval '1 hour') t",
    "insert into leaderboards (entries_jsonb, window_start, computed_at, final, version) "
    "select '[]', t, t + interval '1 hour', true, :scores from generate_series(:start, :end, interval '1 hour') t",
)


def test_what_a_restore_took_is_settled_again(lost: LostHours) -> None:
    """The sensor had looked at those windows; only that there was a restore tells it to look again."""
    lost.at("2026-01-05T08:30Z").until_it_rests()
    whole = lost.boards()
    with lost.runtime.store.database.transaction() as connection:
        for table, column in (("leaderboards", "window_start"), ("scores", "performed_at"), ("cycles", "performed_at")):
            connection.execute(text(f"delete from {table} where {column} >= :from"), {"from": hours(5, 6)[0]})
    assert lost.until_it_rests() == []
    with lost.runtime.store.database.transaction() as connection:
        connection.execute(text("insert into backups (taken_at, release, restored_at) values (now(), '1', now())"))
    assert lost.later(seconds=30).until_it_rests()
    assert lost.boards() == whole
