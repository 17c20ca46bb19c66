"""The operator's levers: what each order does, that its reason is kept, and what is refused."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from coordinator_dagster.clock import FixedClock
from coordinator_dagster.competition import Competition, read_competition
from coordinator_dagster.errors import UserErrors
from coordinator_dagster.levers.carry_out import Outcome, carry_out
from coordinator_dagster.levers.request import Request
from coordinator_dagster.packs import available_packs
from coordinator_dagster.replay import replay
from coordinator_dagster.runtime import Runtime, open_runtime
from tests.tables import settled_tables

Make = Callable[..., Competition]
START = datetime(2026, 1, 5, tzinfo=UTC)
SERIES = "simulated/BTC/candle/1m"


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def run(runtime: Runtime, hours: int = 2) -> None:
    windows = runtime.competition.windows.between(START, at(60 * hours))
    replay(runtime, windows, lambda done: None)


def give(runtime: Runtime, kind: Any, when: datetime | None = None, reason: str = "because", **of: Any) -> Outcome:
    return carry_out(runtime, Request(kind, reason, "tester", at=when, **of))


def rows(runtime: Runtime, sql: str, **parameters: Any) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in runtime.store.database.read(sql, **parameters)]


def ranks(runtime: Runtime, hour: int) -> dict[str, tuple[int | None, str | None]]:
    board = runtime.store.boards.latest_leaderboard(at(60 * hour))
    return {one["model_id"]: (one["rank"], one.get("unranked_reason")) for one in board.entries_jsonb}


def test_paused_cycles_are_missed_and_charged_to_nobody(competition: Make) -> None:
    with open_runtime(competition()) as runtime:
        give(runtime, "pause", at(20), "the venue is under attack")
        give(runtime, "resume", at(50), "it is over")
        run(runtime)
        missed = rows(runtime, "select performed_at, reason from cycles where status = 'MISSED' order by 1")
        assert missed == [(at(minute), "paused: the venue is under attack") for minute in range(20, 50)]
        assert rows(runtime, "select count(*) from forecasts where performed_at >= :a and performed_at < :b",
                    a=at(20), b=at(50)) == [(0,)]  # fmt: skip
        assert rows(runtime, "select count(*) from scores where status = 'CHARGED'") == [(0,)]
        assert rows(runtime, "select final from leaderboards order by window_start") == [(True,), (True,)]


def test_a_disqualified_model_is_not_asked_and_not_ranked_until_it_is_reinstated(
    competition: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_runtime(competition()) as runtime:
        run(runtime, 1)
        give(runtime, "disqualify", at(90), "copied another's code", model="mean_reversion")
        give(runtime, "reinstate", at(150), "it had not", model="mean_reversion")
        skipped, ask = [], runtime.runner.ask
        monkeypatch.setattr(runtime.runner, "ask", lambda *given: skipped.append(given[3]) or ask(*given))
        run(runtime, 3)
        assert skipped == [{"mean_reversion"} if m >= 90 else set() for m in range(60, 120)]
        has = rows(
            runtime, "select performed_at from forecasts where model_id = 'mean_reversion' order by performed_at"
        )
        assert [moment for (moment,) in has] == [at(m) for m in range(120) if m < 90]
        assert ranks(runtime, 0)["mean_reversion"][0] is not None
        assert ranks(runtime, 1)["mean_reversion"] == (None, "disqualified: copied another's code")
        states = rows(runtime, "select model_id, state from model_states order by 1")
        assert states[0] == ("mean_reversion", "active")


def test_a_board_that_stood_is_ranked_anew_when_a_model_is_disqualified_for_the_past(competition: Make) -> None:
    with open_runtime(competition()) as runtime:
        run(runtime)
        before = settled_tables(runtime.store)
        outcome = give(runtime, "disqualify", at(90), "found out later", model="trend_following")
        assert outcome.done == ["boards ranked anew: 1"]
        assert ranks(runtime, 0)["trend_following"][0] is not None
        assert ranks(runtime, 1)["trend_following"] == (None, "disqualified: found out later")
        after = settled_tables(runtime.store)
        assert after["forecasts"] == before["forecasts"]
        assert after["scores"] == before["scores"]


def test_a_model_that_has_left_owes_nothing(competition: Make, model_folder: Callable[[str, str], Path]) -> None:
    body = (Path(__file__).parents[2] / "examples/models/mean_reversion/main.py").read_text()
    for name in ("stays", "goes"):
        folder = model_folder(name, body)
    with open_runtime(competition(models_dir=folder)) as runtime:
        run(runtime, 1)
        (folder / "goes" / "main.py").unlink()
        (folder / "goes").rmdir()
        give(runtime, "leave", at(60), "its player withdrew", model="goes")
        run(runtime)
        assert rows(runtime, "select count(*) from forecasts where model_id = 'goes'") == [(60,)]
        assert ranks(runtime, 1)["goes"] == (None, "LEFT: its player withdrew")
        assert rows(runtime, "select state, reason from model_states where model_id = 'goes'") == [
            ("LEFT", "its player withdrew")
        ]


def test_void_takes_a_cycle_out_for_everyone_and_revise_brings_it_back(competition: Make) -> None:
    with open_runtime(competition()) as runtime:
        run(runtime)
        before = settled_tables(runtime.store)
        outcome = give(runtime, "void", at(30), "the venue rolled the trade back", config="btc-60s", until=at(32))
        assert rows(runtime, "select performed_at, reason, order_id from ground_truths where status = 'VOID'") == [
            (at(30 + n), "by the operator: the venue rolled the trade back", outcome.order) for n in range(3)
        ]
        voided = rows(runtime, "select distinct performed_at, status from scores where performed_at = :t", t=at(30))
        assert voided == [(at(30), "EXEMPT")]
        assert rows(runtime, "select count(*), count(distinct superseded_by) from superseded_scores") == [(9, 1)]
        due = rows(runtime, "select sum(due), sum(answered) from score_rollups where model_id = 'mean_reversion'")
        assert due == [(117, 117)], "120 settled, three of them void"
        assert settled_tables(runtime.store)["leaderboards"] != before["leaderboards"]
        give(runtime, "revise", at(30), "it had not", config="btc-60s", until=at(32))
        after = settled_tables(runtime.store)
        for table in ("scores", "score_rollups", "model_scores", "leaderboards", "forecasts"):
            assert after[table] == before[table], table


def test_a_corrected_print_changes_the_truths_that_rest_on_it_and_no_input(competition: Make) -> None:
    with open_runtime(competition()) as runtime:
        run(runtime)
        before = settled_tables(runtime.store)
        values = {"open": 1.0, "high": 99_000.0, "low": 1.0, "close": 99_000.0, "volume": 1.0}
        give(runtime, "correct", at(29), "a fat finger", series=SERIES, values=values)
        prices = rows(
            runtime,
            "select performed_at, truth_jsonb->'entry_price', truth_jsonb->'resolved_price' from ground_truths "
            "where '99000' in (truth_jsonb->>'entry_price', truth_jsonb->>'resolved_price') "
            "or '99000.0' in (truth_jsonb->>'entry_price', truth_jsonb->>'resolved_price') order by 1",
        )
        assert [(t, entry == 99_000.0, resolved == 99_000.0) for t, entry, resolved in prices] == [
            (at(29), False, True),
            (at(30), True, False),
        ]
        after = settled_tables(runtime.store)
        for table in ("market_records", "inference_inputs", "forecasts", "cycles"):
            assert after[table] == before[table], table
        assert after["leaderboards"] != before["leaderboards"]
        first = rows(runtime, "select values_jsonb->'close' from market_records where ts_event = :t", t=at(29))
        assert first[0][0] != 99_000.0, "the first record stays what was known"


def test_a_live_input_after_the_correction_sees_it(competition: Make) -> None:
    with open_runtime(competition()) as runtime:
        run(runtime, 1)
        values = {"open": 5.0, "high": 5.0, "low": 5.0, "close": 5.0, "volume": 1.0}
        give(runtime, "correct", at(29), "a fat finger", series=SERIES, values=values)
        orders = runtime.store.orders.read()
        (series,) = runtime.store.tape.series()
        now = orders.every[0].given_at
        seen = [
            orders.corrected(runtime.store.tape, by).upto(series, at(30), 1)[0].price
            for by in (now - timedelta(seconds=1), now)
        ]
        assert seen[0] != 5.0
        assert seen[1] == 5.0


def test_the_end_closes_what_is_open_with_a_final_board(competition: Make) -> None:
    with open_runtime(competition(competition_end="2026-01-05T03:00Z")) as runtime:
        run(runtime)
        outcome = give(runtime, "end", at(150), "the sponsor has gone")
        assert rows(runtime, "select max(performed_at) from cycles") == [(at(149),)]
        open_cycles = (
            "select count(*) from cycles c left join ground_truths g using (prediction_config_id, performed_at)"
        )
        assert rows(runtime, f"{open_cycles} where c.status <> 'PERFORMED' or g.status is null") == [(0,)]
        board = runtime.store.boards.latest_leaderboard()
        assert (board.computed_at, board.final) == (at(180), True)
        assert outcome.done[-1] == f"the last board, at {at(180).isoformat()}, is final"
        run(runtime, 4)
        assert rows(runtime, "select max(performed_at) from cycles") == [(at(149),)], "no cycle after the end"
        with pytest.raises(UserErrors, match="has ended at"):
            give(runtime, "end", at(300))


def test_over_a_tape_that_has_ended_the_end_leaves_nothing_pending(competition: Make, tape_dir: Path) -> None:
    made = competition(
        feed_provider="replay", feed_tape_dir=tape_dir, competition_start="2023-05-01T20:00Z", competition_end=""
    )
    with open_runtime(made) as runtime:
        tape_end = runtime.clock.now()
        windows = made.windows.between(made.start, tape_end + timedelta(hours=1))
        replay(runtime, windows, lambda done: None)
        pending = "select count(*) from cycles c left join ground_truths g using (prediction_config_id, performed_at) "
        pending += "where c.status in ('planned', 'running') or (c.status = 'PERFORMED' and g.status is null)"
        assert rows(runtime, pending)[0][0] >= 1
        give(runtime, "end", windows[-1].end)
        assert rows(runtime, pending) == [(0,)]
        reasons = rows(runtime, "select distinct reason from ground_truths where order_id is null and status = 'VOID'")
        assert any("the competition has ended" in reason for (reason,) in reasons)
        assert runtime.store.boards.latest_leaderboard().final


def test_a_changed_config_becomes_a_new_version_and_history_stays(
    competition: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = competition()
    with open_runtime(made) as runtime:
        run(runtime, 1)
        history = settled_tables(runtime.store)
    pack = json.loads(available_packs()["baseline"].read_text())
    pack["scheduled_prediction_configs"][0]["scope_template"]["horizon_seconds"] = 120
    (tmp_path / "changed.json").write_text(json.dumps(pack))
    monkeypatch.setenv("PACK", str(tmp_path / "changed.json"))
    changed = read_competition(made.home)
    with pytest.raises(UserErrors, match="coordinator order configs"), open_runtime(changed):
        pass
    with open_runtime(changed, as_it_stands=True) as runtime:
        with pytest.raises(UserErrors, match="cycles have ended through"):
            give(runtime, "configs", at(30))
        give(runtime, "configs", at(60), "a longer horizon")
        run(runtime)
        versions = rows(
            runtime,
            "select id, base_id, active, active_from, active_until from scheduled_prediction_configs order by id",
        )
        assert versions == [("btc-60s", "btc-60s", False, None, at(60)), ("btc-60s.2", "btc-60s", True, at(60), None)]
        counted = "select prediction_config_id, count(*), min(performed_at), min(resolvable_at - performed_at) "
        assert rows(runtime, f"{counted} from cycles group by 1 order by 1") == [
            ("btc-60s", 60, START, timedelta(minutes=1)),
            ("btc-60s.2", 60, at(60), timedelta(minutes=2)),
        ]
        assert rows(runtime, "select count(*) from ground_truths where prediction_config_id = 'btc-60s'") == [(60,)]
        assert rows(runtime, "select final from leaderboards order by window_start") == [(True,), (True,)]
        kept = [one for one in settled_tables(runtime.store)["forecasts"] if one["prediction_config_id"] == "btc-60s"]
        assert kept == history["forecasts"]
    with open_runtime(changed) as runtime:
        assert [one.id for one in runtime.store.schedule(changed).standing(at(60))] == ["btc-60s.2"]


def test_every_fault_of_an_order_is_told_and_nothing_is_written(competition: Make) -> None:
    with open_runtime(competition()) as runtime:
        run(runtime, 1)
        for request, told in {
            Request("void", " ", "me"): ["--reason is empty", "--at is missing"],
            Request("void", "r", "me", at=at(30), config="btc-60"): [
                "config btc-60: not known (did you mean btc-60s?)"
            ],
            Request("void", "r", "me", at=at(300)): ["no cycle was performed"],
            Request("void", "r", "me", at=at(30), until=at(20)): ["--until="],
            Request("disqualify", "r", "me", model="mean"): ["model mean: not known"],
            Request("reinstate", "r", "me", model="mean_reversion"): ["takes part already"],
            Request("resume", "r", "me", at=at(30)): ["nothing is paused"],
            Request("correct", "r", "me", at=at(1), series="simulated/BTC/candle/5m"): ["not on the tape (did you"],
            Request("correct", "r", "me", at=at(1.5), series=SERIES): ["has no record at ts_event"],
            Request("correct", "r", "me", at=at(1), series=SERIES): ["--values is missing"],
            Request("configs", "r", "me", at=at(90)): ["has no changed config"],
            Request("end", "r", "me", at=at(10)): ["cycles have ended through"],
        }.items():
            with pytest.raises(UserErrors) as refused:
                carry_out(runtime, request)
            assert len(refused.value.faults) == len(told), refused.value.faults
            assert all(part in fault for part, fault in zip(told, refused.value.faults, strict=True))
        with pytest.raises(UserErrors, match="close="):
            bad = {"open": 1.0, "high": 1.0, "low": 1.0, "close": float("nan"), "volume": 1.0}
            give(runtime, "correct", at(1), series=SERIES, values=bad)
        assert rows(runtime, "select count(*) from operator_orders") == [(0,)]


def test_orders_and_forecasts_cannot_be_changed_in_the_database(competition: Make) -> None:
    with open_runtime(competition()) as runtime:
        run(runtime, 1)
        give(runtime, "pause", at(90))
        for sql in (
            "update forecasts set status = 'FAILED'",
            "update operator_orders set reason = 'another'",
            "delete from operator_orders",
        ):
            with pytest.raises(Exception, match="append-only"), runtime.store.database.transaction() as connection:
                connection.exec_driver_sql(sql)


def test_an_order_in_a_live_schema_holds_from_now(competition: Make) -> None:
    with open_runtime(competition(mode="live")) as runtime:
        runtime.__dict__["clock"] = FixedClock(at(200))
        order = give(runtime, "pause").order
        assert rows(runtime, "select id, effective_at, reason, given_by from operator_orders") == [
            (order, at(200), "because", "tester")
        ]


def test_live_no_order_settles_by_slots_that_are_not_those_of_the_board(
    competition: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with open_runtime(competition()) as runtime:
        run(runtime, 1)
        with runtime.store.database.transaction() as connection:
            connection.exec_driver_sql("update competition set mode = 'live'")
    monkeypatch.setenv("MODE", "live")
    monkeypatch.setenv("SLOT_VERSION", "edited, and not brought in")
    with open_runtime(read_competition(tmp_path)) as runtime:
        before = settled_tables(runtime.store)
        for kind, of in (("void", {}), ("revise", {}), ("disqualify", {"model": "mean_reversion"})):
            with pytest.raises(UserErrors, match="the slots and rules in this folder are of version"):
                give(runtime, kind, at(30), **of)
        assert settled_tables(runtime.store) == before
        give(runtime, "pause", at(200))
    monkeypatch.delenv("SLOT_VERSION")
    with open_runtime(read_competition(tmp_path)) as runtime:
        give(runtime, "void", at(30))
