"""Months of the tape leave it: archived whole, never needed any more, and what was settled of them stays."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from coordinator_dagster.audit import audit
from coordinator_dagster.audit.resettle import resettle
from coordinator_dagster.competition import read_competition
from coordinator_dagster.errors import UserErrors
from coordinator_dagster.explain import explanation
from coordinator_dagster.levers.carry_out import carry_out
from coordinator_dagster.levers.request import Request
from coordinator_dagster.runtime import Runtime, open_runtime
from coordinator_dagster.stages import expire
from coordinator_dagster.stages.archive import archive_folder
from coordinator_dagster.stages.facts import StageFailed
from slots.market import Series, history_record
from tests.retention.conftest import END, HOLE, START, Make, replay_all
from tests.tables import settled_tables

JANUARY_ENDS = datetime(2026, 2, 1, tzinfo=UTC)
CANDLES, TICKS = Series("binance", "BTC", "candle", "1h"), Series("binance", "BTC", "tick", "1s")


def rows(runtime: Runtime, sql: str, **parameters: Any) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in runtime.store.database.read(sql, **parameters)]


def verdicts(runtime: Runtime) -> dict[str, tuple[str, str]]:
    found = expire.plan(runtime.competition, runtime.store, runtime.feed, runtime.clock)
    return {one.month.name: (one.fate, one.why) for one in found}


def settle(runtime: Runtime) -> None:
    windows = runtime.competition.windows.between(START, END)
    runtime.resolve(windows)
    runtime.score(windows)
    runtime.aggregate(windows)
    runtime.rank(windows)


def kept_tables(runtime: Runtime) -> dict[str, list[dict[str, Any]]]:
    tables = settled_tables(runtime.store)
    del tables["market_records"]
    return tables


def audited(runtime: Runtime) -> list[Any]:
    return [*audit(runtime.store.database, runtime.clock.now()), *resettle(runtime, lambda done: None)]


def test_old_months_leave_the_tape_and_a_replay_of_the_archive_gives_the_same(slow: Make) -> None:
    made = slow(market_record_ttl_days=4)
    with open_runtime(made) as runtime:
        replay_all(runtime)
        whole = settled_tables(runtime.store)
        runtime.ingest(made.windows.between(END, datetime(2026, 3, 5, tzinfo=UTC)))  # the tape goes on
        before, records = kept_tables(runtime), rows(runtime, "select count(*) from market_records")[0][0]
        report = runtime.expire()
        assert list(report.gone) == ["2026-01", "2026-02"]
        assert report.held == {}
        left = rows(runtime, "select count(*), min(ts_event) from market_records")[0]
        assert left[0] + sum(report.gone.values()) == records
        assert left[1] >= datetime(2026, 3, 1, tzinfo=UTC)
        counted = "select provider, asset, kind, granularity, count(*) from market_records group by 1, 2, 3, 4"
        assert rows(runtime, "select * from market_record_counts order by 1, 2, 3, 4") == rows(
            runtime, f"{counted} order by 1, 2, 3, 4"
        )
        assert kept_tables(runtime) == before, "nothing but records has left"
        assert audited(runtime) == []
        assert runtime.expire().archived.written == 0, "done again, it does nothing"
    with open_runtime(slow("b", feed_tape_dir=archive_folder(made))) as runtime:
        replay_all(runtime)
        replayed = settled_tables(runtime.store)
    assert len(whole["leaderboards"]) == 9
    for gap in (*whole["market_gaps"], *replayed["market_gaps"]):
        del gap["next_try_at"]  # by the clock of its replay, and nobody asks for it again
    for table, stored in whole.items():
        assert replayed[table] == stored, table


def test_what_has_left_is_never_fetched_again(slow: Make) -> None:
    made = slow()
    with open_runtime(made) as runtime:
        replay_all(runtime)
        before = kept_tables(runtime)
        runtime.expire()
        kept = rows(runtime, "select count(*), min(ts_event) from market_records")
        windows = made.windows.between(START, END)
        (shown,) = explanation(made, runtime.store, "follower", START + timedelta(hours=6))["cycles"]
        assert {one["archived_in"] for one in shown["truth"]["records"]} == {
            "day=2026-01-28/asset=BTC/kind=candle/binance-1h.parquet"
        }
        assert runtime.ingest(windows).new == 0
        assert rows(runtime, "select count(*), min(ts_event) from market_records") == kept
        assert kept[0][1] >= JANUARY_ENDS
        replay_all(runtime)
        assert kept_tables(runtime) == before


def without_truth(runtime: Runtime, at: datetime) -> None:
    """As after a `revise` whose process died before it settled."""
    with runtime.store.database.transaction() as connection:
        connection.exec_driver_sql("delete from ground_truths where performed_at = %s", (at,))
        connection.exec_driver_sql("delete from scores where performed_at = %s", (at,))


def test_a_cycle_without_a_truth_holds_the_months_it_may_look_back_on(slow: Make) -> None:
    """Five candles and one: what it is given may reach six hours back."""
    with open_runtime(slow()) as runtime:
        replay_all(runtime)
        for hours_after, fate in ((-60, "held"), (0, "held"), (6, "goes")):
            at = JANUARY_ENDS + timedelta(hours=hours_after)
            without_truth(runtime, at)
            found, why = verdicts(runtime)["2026-01"]
            assert found == fate, why
            if fate == "held":
                assert f"at {at.isoformat()} has no truth yet" in why
                report = runtime.expire()
                assert (report.gone, report.held) == ({}, {"2026-01": why})
            settle(runtime)
        without_truth(runtime, JANUARY_ENDS + timedelta(hours=5 * 12))
        assert verdicts(runtime)["2026-01"][0] == "goes"
        # Quiet is not stale: of six ticks that it may be given, five are old.
        with runtime.store.database.transaction() as connection:
            connection.exec_driver_sql(
                "delete from market_records m where kind = 'tick' and ts_event >= '2026-02-01' and exists (select from "
                " market_records o where o.kind = 'tick' and o.ts_event >= '2026-02-01' and o.ts_event < m.ts_event)"
            )
        assert verdicts(runtime)["2026-01"][0] == "held"


def test_cycles_that_nobody_has_run_hold_what_they_look_back_on(slow: Make) -> None:
    made = slow()
    with open_runtime(made) as runtime:
        assert verdicts(runtime) == {}, "no tape yet"
        runtime.ingest(made.windows.between(START, END))
        assert verdicts(runtime)["2026-01"][0] == "held"
        done = made.windows.between(START, JANUARY_ENDS + timedelta(days=1))
        for window in (*done[1:], done[0]):
            fate, why = verdicts(runtime)["2026-01"]
            assert fate == "held"
            assert "2026-01-28T00:00:00+00:00 is due, and has not been run" in why
            runtime.build_inputs([window])
            runtime.predict([window])
        assert "2026-01-28T00:00:00+00:00 has no truth yet" in verdicts(runtime)["2026-01"][1]
        runtime.resolve(done)
        assert verdicts(runtime)["2026-01"][0] == "goes", "the next one is due on 2 February"


def test_what_comes_between_archiving_and_leaving_is_seen(slow: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made = slow()
    with open_runtime(made) as runtime:
        replay_all(runtime)
        runtime.archive([datetime(2026, 1, day, tzinfo=UTC).date() for day in range(27, 32)])
        first = datetime(2026, 1, 30, 1, tzinfo=UTC)
        late = [history_record(TICKS, first + n * timedelta(hours=1), {"price": 7.0 + n}) for n in range(2)]
        leave, tried = runtime.store.expiry.leave, []

        def come(record: Any) -> None:
            runtime.store.tape.add(TICKS, [record], (record.event_end, record.event_end), made.tape_start)

        def something_comes(*args: Any) -> int:
            tried.append(args)
            if len(tried) == 1:
                come(late[1])  # after the month's days were looked at
            elif len(tried) == 2:
                without_truth(runtime, START)  # after nothing had needed the month
            return leave(*args)

        come(late[0])
        monkeypatch.setattr(runtime.store.expiry, "leave", something_comes)
        report = runtime.expire()
        assert (report.gone, len(tried)) == ({}, 2)
        assert f"at {START.isoformat()} has no truth yet" in report.held["2026-01"]
        settle(runtime)
        assert list(runtime.expire().gone) == ["2026-01"]
    with open_runtime(slow("b", feed_tape_dir=archive_folder(made))) as again:
        read = list(again.feed.fetch(TICKS, START, JANUARY_ENDS))
        assert all(record in read for record in late)


def test_a_month_stays_while_a_file_of_it_cannot_be_right(slow: Make) -> None:
    made = slow()
    path = archive_folder(made) / "day=2026-01-30/asset=BTC/kind=tick/binance-1s.parquet"
    with open_runtime(made) as runtime:
        replay_all(runtime)
        runtime.archive([datetime(2026, 1, day, tzinfo=UTC).date() for day in range(27, 32)])
        with runtime.store.database.transaction() as connection:
            connection.exec_driver_sql("update tape_archives set row_count = row_count + 1 where day = '2026-01-30'")
        with pytest.raises(StageFailed, match=r"day=2026-01-30.* it has \d+ records, and the tape only"):
            runtime.expire()
        assert verdicts(runtime)["2026-01"][0] == "goes"
        assert rows(runtime, "select count(*) from tape_expiry") == [(0,)]
        with runtime.store.database.transaction() as connection:
            connection.exec_driver_sql("update tape_archives set row_count = row_count - 1 where day = '2026-01-30'")
        right = path.read_bytes()
        path.write_bytes(right[:-9])
        assert list(runtime.expire().gone) == ["2026-01"], "it is written anew, while there are records to write"
        assert path.read_bytes() == right
        path.write_bytes(right[:-9])
        with pytest.raises(StageFailed, match=r"not what was archived, and its records have left the tape.*restore it"):
            runtime.archive([datetime(2026, 1, 30, tzinfo=UTC).date()])


def test_a_changed_resolver_finds_no_truth_anew_whose_records_have_left(
    slow: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_runtime(slow()) as runtime:
        replay_all(runtime)
        carry_out(runtime, Request("void", "a trade was rolled back", "test", at=START + timedelta(hours=6)))
        runtime.expire()
        old = runtime.competition.truth_version()
        before = rows(runtime, TRUTHS, version=old)
        boards = rows(runtime, "select window_start, entries_jsonb, final from leaderboards order by 1")
        whole_from, hole = runtime.store.expiry.cycles_from(), HOLE + timedelta(hours=1)
        ((void,),) = rows(
            runtime, "select reason from ground_truths where status = 'VOID' and performed_at = :at", at=hole
        )
        assert whole_from and whole_from >= JANUARY_ENDS + timedelta(hours=6)
    for version in ("second", "third"):
        monkeypatch.setenv("SLOT_VERSION", version)
        with open_runtime(read_competition()) as runtime:
            assert runtime.competition.truth_version() != old
            settle(runtime)
            assert rows(runtime, TRUTHS, version=runtime.competition.truth_version()) == before
            kept = rows(
                runtime,
                "select performed_at, reason from ground_truths where version = :version and reason like '%left the%'",
                version=runtime.competition.truth_version(),
            )
            assert {at for at, _ in kept} == {at for at, *_ in before if at < whole_from} - {START + timedelta(hours=6)}
            note = f"kept as version {old} has it: its records have left the tape by age"
            assert {why for _, why in kept} == {note, f"{void}; {note}"}
            shown = "select window_start, entries_jsonb, final from leaderboards where version = :v order by 1"
            assert rows(runtime, shown, v=runtime.competition.score_version()) == boards
            assert audited(runtime) == []


TRUTHS = (
    "select performed_at, prediction_config_id, status, truth_jsonb, order_id from ground_truths "
    "where version = :version order by 1, 2"
)


def test_orders_that_need_what_has_left_are_refused(slow: Make) -> None:
    with open_runtime(slow()) as runtime:
        replay_all(runtime)
        runtime.expire()
        first_whole = JANUARY_ENDS + timedelta(hours=6)
        before = kept_tables(runtime)
        late, early = JANUARY_ENDS + timedelta(hours=7), JANUARY_ENDS - timedelta(hours=30)
        for request in (
            Request("revise", "late data", "test", at=first_whole - timedelta(hours=6)),
            Request("revise", "late data", "test", at=early, until=first_whole, config="hourly"),
            Request("correct", "a fat finger", "test", at=early, series=str(CANDLES), values={"close": 1.0}),
            Request("correct", "a fat finger", "test", at=JANUARY_ENDS, series=str(CANDLES), values={"close": 1.0}),
        ):
            with pytest.raises(UserErrors, match=r"before 2026-02-01T06:00:00\+00:00 have left the tape by age"):
                carry_out(runtime, request)
        assert kept_tables(runtime) == before
        (values,) = rows(
            runtime, "select values_jsonb from market_records where ts_event = :at and kind = 'candle'", at=late
        )[0]
        carry_out(runtime, Request("revise", "late data", "test", at=first_whole))
        carry_out(runtime, Request("correct", "a fat finger", "test", at=late, series=str(CANDLES), values=values))
        carry_out(runtime, Request("void", "too late to revise", "test", at=START))
        assert rows(runtime, "select reason from ground_truths where performed_at = :at limit 1", at=START) == [
            ("by the operator: too late to revise",)
        ]
        assert audited(runtime) == []
