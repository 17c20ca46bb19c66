"""One broken rule each, written by SQL into a competition that keeps them all; and the check that must see it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Seed:
    """What is done to the tables, and the check that must report it."""

    check: str
    wrong: str
    sql: str

    @property
    def rule(self) -> int:
        return int(self.check[:2])


def at(minutes: int, column: str = "performed_at") -> str:
    """The instant so many minutes after the start."""
    return f"{column} = (select start + interval '{minutes} minutes' from competition)"


# A cycle with a truth and a score for everyone, and one that `moody` did not answer: it is charged.
CYCLE = f"prediction_config_id = 'btc-in-sample' and {at(5)}"
CHARGED = f"prediction_config_id = 'btc-in-sample' and {at(20)} and model_id = 'moody'"
ONE = f"{CYCLE} and model_id = 'even'"
CANDLE = at(-10, "ts_event")
LIVE = "update competition set mode = 'live';"
LAST_BOARD = "window_start = (select max(window_start) from leaderboards)"
ORDER = "insert into operator_orders (kind, effective_at, until, model_id, reason, given_by, given_at, detail_jsonb)"
TICK = """insert into market_records
        (provider, asset, kind, granularity, ts_event, event_end, known_at, ts_ingested, values_jsonb)
    select provider, asset, 'tick', '1s', ts_event, ts_event, ts_event, ts_ingested, '{"price": 1}'
    from market_records where """


def drop(table: str, kind: str) -> str:
    """Drops a table's constraints of that kind (`c`: checks, `p`: the primary key)."""
    return f"""do $$ declare one record; begin
    for one in select conname from pg_constraint where conrelid = '{table}'::regclass and contype = '{kind}' loop
        execute 'alter table {table} drop constraint ' || quote_ident(one.conname);
    end loop; end $$;"""


def entry(path: str, value: str) -> str:
    """Changes the first entry of the last board."""
    return (
        f"update leaderboards set entries_jsonb = jsonb_set(entries_jsonb, '{{0,{path}}}', '{value}') "
        f"where {LAST_BOARD}"
    )


def payload(change: str, minutes: int = 5) -> str:
    return f"update inference_inputs set payload_jsonb = {change} where {at(minutes)}"


RULES_1_TO_3 = [
    Seed(
        "01_input_records",
        "a candle that is still open is given",
        payload("jsonb_set(payload_jsonb, '{candles_1m,-1,ts}', payload_jsonb->'asof_ts')"),
    ),
    Seed(
        "01_input_records",
        "a candle that arrived after the cut-off is given",
        f"update market_records set known_at = event_end + interval '1 day' where {CANDLE}",
    ),
    Seed(
        "01_input_records",
        "a candle is given with another close",
        payload("jsonb_set(payload_jsonb, '{candles_1m,-3,close}', '1')"),
    ),
    Seed("01_input_records", "a candle is given that never was", f"delete from market_records where {CANDLE}"),
    Seed(
        "01_input_records",
        "a tick of the future is given",
        payload("""payload_jsonb || jsonb_build_object('ticks', jsonb_build_array(jsonb_build_object(
            'ts', extract(epoch from performed_at) + 0.25, 'price', 1)))"""),
    ),
    Seed("01_newest_candle", "the newest candle is not given", LIVE + payload("payload_jsonb #- '{candles_1m,-1}'")),
    Seed("01_cut_offs", "a cycle's input is gone", f"delete from inference_inputs where {at(5)}"),
    Seed("01_cut_offs", "a cycle has another cut-off", f"update cycles set cut_off = cut_off + '1 s' where {CYCLE}"),
    Seed("01_cut_offs", "nothing says when answers are late", f"update cycles set answer_by = null where {CYCLE}"),
    Seed(
        "01_cut_offs",
        "an input is cut off before its instant",
        f"update inference_inputs set cut_off = performed_at - interval '1 second' where {at(5)}",
    ),
    Seed(
        "01_record_times",
        "a candle is known before it is over",
        f"update market_records set known_at = event_end - interval '1 second' where {CANDLE}",
    ),
    Seed(
        "01_record_times",
        "a candle of a minute lasts two",
        f"update market_records set event_end = event_end + interval '1 minute' where {CANDLE}",
    ),
    Seed(
        "02_answers_in_time",
        "a late answer counts",
        f"update forecasts set answered_at = asked_at + interval '31 seconds' where {ONE}",
    ),
    Seed(
        "02_answers_in_time",
        "a timely answer is LATE",
        f"update forecasts set status = 'LATE', meta_jsonb = '{{\"reason\": \"late\"}}' where {ONE}",
    ),
    Seed(
        "02_answers_in_time",
        "an answer without an output counts",
        f"update forecasts set inference_output_jsonb = null where {ONE}",
    ),
    Seed(
        "02_answers_in_time",
        "a model is asked before the instant",
        f"update forecasts set asked_at = performed_at - interval '1 second' where {ONE}",
    ),
    Seed(
        "02_answer_deadline",
        "answers count for more than a tenth of the horizon",
        f"update cycles set answer_by = cut_off + interval '31 seconds' where {CYCLE}",
    ),
    Seed(
        "02_instants",
        "a cycle is off its cadence",
        f"update cycles set performed_at = performed_at + interval '1 second' where {CYCLE}",
    ),
    Seed(
        "02_instants",
        "a cycle is older than its config",
        "update scheduled_prediction_configs set active_from = (select start + interval '1 hour' from competition)",
    ),
    Seed(
        "02_instants",
        "a cycle is in the window of another",
        f"update cycles set window_start = window_start + interval '1 hour' where {CYCLE}",
    ),
    Seed(
        "02_scored_without_answer",
        "a failure is scored",
        f"update forecasts set status = 'FAILED', meta_jsonb = '{{\"reason\": \"no\"}}' where {ONE}",
    ),
    Seed("02_scored_without_answer", "nobody's forecast is scored", f"delete from forecasts where {ONE}"),
    *(
        Seed(
            "03_resolvable_at",
            f"a horizon of its own in {table}",
            f"update {table} set resolvable_at = resolvable_at + interval '1 minute' where {CYCLE}",
        )
        for table in ("cycles", "ground_truths", "scores")
    ),
    Seed(
        "03_truth_before_complete",
        "a truth of a series that is not complete",
        "update market_ingestion_state set complete_through = (select start from competition)",
    ),
    Seed("03_truth_before_complete", "a truth of a series nobody asked for", "delete from market_ingestion_state"),
    Seed(
        "03_candle_prices",
        "another price than the candle's close",
        f"update ground_truths set truth_jsonb = jsonb_set(truth_jsonb, '{{entry_price}}', '1') where {CYCLE}",
    ),
    Seed("03_candle_prices", "a price of no candle", f"delete from market_records where {at(9, 'ts_event')}"),
    Seed(
        "03_candle_prices",
        "a correction that changed no truth",
        f"""{ORDER} select 'correct', ts_event, null, null, 'wrong', 'test', now(), jsonb_build_object('series',
            concat_ws('/', provider, asset, kind, granularity), 'values', values_jsonb || '{{"close": 1}}')
            from market_records where {at(9, "ts_event")}""",
    ),
    Seed(
        "03_tick_prices",
        "another price than the last trade's",
        """update scheduled_prediction_configs
           set series_jsonb = '[{"asset": "BTC", "kind": "tick", "granularity": "1s"}]';"""
        + TICK
        + at(4, "ts_event"),
    ),
    Seed(
        "03_complete_beyond_now",
        "complete through tomorrow",
        LIVE + "update market_ingestion_state set complete_through = '2100-01-01'",
    ),
]

RULES_4_TO_7 = [
    Seed(
        "04_external_truths",
        "a truth of the tape is external",
        f"update ground_truths set external = true where {CYCLE}",
    ),
    Seed(
        "05_truths",
        "VOID, and nobody says why",
        f"update ground_truths set status = 'VOID', truth_jsonb = null, reason = ' ' where {CYCLE}",
    ),
    Seed("05_truths", "RESOLVED to nothing", f"update ground_truths set truth_jsonb = null where {CYCLE}"),
    Seed("05_truths", "the truth of a cycle that was MISSED", f"update cycles set status = 'MISSED' where {CYCLE}"),
    Seed(
        "05_void_too_early",
        "given up after an hour",
        LIVE
        + f"""update ground_truths set status = 'VOID', truth_jsonb = null, reason = 'it did not come',
              given_up = true, resolved_at = resolvable_at + interval '1 hour' where {CYCLE}""",
    ),
    Seed(
        "05_void_without_cause",
        "given up though the candles are there",
        f"update ground_truths set status = 'VOID', truth_jsonb = null, reason = 'no price' where {CYCLE}",
    ),
    Seed(
        "05_truth_orders",
        "a truth that does not follow the order about it",
        "update ground_truths set order_id = null where order_id is not null",
    ),
    Seed(
        "05_truth_orders",
        "a truth by an order about another cycle",
        f"update ground_truths set order_id = (select id from operator_orders where kind = 'void') where {CYCLE}",
    ),
    Seed(
        "05_truth_orders",
        "what the operator made VOID is resolved",
        """update ground_truths set status = 'RESOLVED', truth_jsonb = '{}'
           where order_id = (select id from operator_orders where kind = 'void')""",
    ),
    Seed(
        "05_superseded",
        "a truth is superseded by no order",
        f"insert into superseded_truths select g.*, 999 from ground_truths g where {CYCLE}",
    ),
    Seed(
        "05_superseded",
        "scores are superseded by an order about another cycle",
        f"""insert into superseded_scores select s.*, (select id from operator_orders where kind = 'void')
            from scores s where {CYCLE}""",
    ),
    Seed("06_forecasts_and_cycles", "forecasts of no cycle", f"delete from cycles where {CYCLE}"),
    Seed("06_forecasts_and_cycles", "forecasts of a plan", f"update cycles set status = 'planned' where {CYCLE}"),
    Seed(
        "06_forecasts_and_cycles",
        "a forecast of another scope",
        f'update forecasts set scope_jsonb = scope_jsonb || \'{{"asset": "ETH"}}\' where {ONE}',
    ),
    Seed("06_lost_forecasts", "a forecast is lost", f"delete from forecasts where {ONE}"),
    *(
        Seed(
            "06_twice",
            f"a row of {table} is there twice",
            drop(table, "p") + f"insert into {table} select * from {table} where {CYCLE} limit 1",
        )
        for table in ("forecasts", "ground_truths", "scores")
    ),
    Seed("07_missed", "MISSED, and nobody says why", "update cycles set reason = null where status = 'MISSED'"),
    Seed("07_missed", "MISSED, with forecasts", f"update cycles set status = 'MISSED', reason = 'x' where {CYCLE}"),
    Seed(
        "07_asked_after_window",
        "asked when the window was over",
        LIVE + f"update forecasts set asked_at = performed_at + interval '2 hours', answered_at = null where {ONE}",
    ),
    Seed("07_unrecorded", "a cycle of a window that was run is not there", f"delete from cycles where {CYCLE}"),
    Seed(
        "07_unrecorded",
        "a live window is not there",
        LIVE + "delete from cycles where window_start = (select start + interval '1 hour' from competition)",
    ),
    Seed(
        "07_against_orders",
        "performed in a pause",
        f"{ORDER} select 'pause', start, null, null, 'x', 'test', now() - interval '1 day', '{{}}' from competition",
    ),
    Seed(
        "07_against_orders",
        "performed after the end",
        f"{ORDER} select 'end', start, null, null, 'x', 'test', now() - interval '1 day', '{{}}' from competition",
    ),
    Seed(
        "07_against_orders",
        "a model that is out was asked",
        f"{ORDER} select 'leave', start, null, 'even', 'x', 'test', now() - interval '1 day', '{{}}' from competition",
    ),
]
