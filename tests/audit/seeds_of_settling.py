"""The seeds of the rules about scores, boards, states and records."""

from tests.audit.seeds import CANDLE, CHARGED, CYCLE, LAST_BOARD, LIVE, ONE, TICK, Seed, at, drop, entry

ANOTHER = "insert into slot_versions (version, detail_jsonb) select 'other', detail_jsonb from slot_versions limit 1;"
# `relentless` fails always: it is suspended for the last two instants of its windows, 45 minutes after their start.
RELENTLESS = "model_id = 'relentless'"
SAYS = """(select jsonb_build_object('suspension', meta_jsonb->'suspension') from forecasts
    where status = 'SUSPENDED' order by performed_at limit 1)"""
UNTIL = (
    "update forecasts set meta_jsonb = jsonb_set(meta_jsonb, '{{suspension,until}}', to_jsonb({})) "
    "where status = 'SUSPENDED'"
)

RULES_8_AND_9 = [
    Seed("08_rollups", "a score changes, its rollup does not", f"update scores set score_value = -1 where {ONE}"),
    Seed("08_rollups", "a rollup counts one more", "update score_rollups set due = due + 1, answered = answered + 1"),
    Seed("08_rollups", "a rollup is missing", "delete from score_rollups where model_id = 'even'"),
    Seed("08_rollups", "a rollup of no score", "delete from scores where model_id = 'shy'"),
    Seed(
        "08_final_too_early",
        "final, though a cycle has no truth",
        f"delete from ground_truths where {CYCLE}; update leaderboards set final = true",
    ),
    Seed(
        "08_final_too_early",
        "final, though a forecast has no score",
        f"delete from scores where {ONE}; update leaderboards set final = true",
    ),
    Seed(
        "08_board_counts",
        "a final board counts one more",
        "update leaderboards set final = true;" + entry("score,payload,due", "1000"),
    ),
    Seed(
        "09_scores",
        "NaN is a score",
        drop("scores", "c") + f"update scores set score_value = 'NaN' where {ONE}",
    ),
    Seed("09_scores", "nothing is a score", f"update scores set score_value = null where {ONE}"),
    Seed("09_scores", "infinity is a sum", "update score_rollups set score_sum = '-Infinity'"),
    Seed("09_board_numbers", "a ranking value is a text", entry("score,ranking,value", '"best"')),
    Seed("09_board_numbers", "a metric is true", entry("score,metrics,anchor", "true")),
    Seed(
        "09_board_numbers",
        "a model's score is beyond all numbers",
        """update model_scores
           set score_payload_jsonb = jsonb_set(score_payload_jsonb, '{score,metrics,anchor}', '1e400')""",
    ),
    Seed(
        "09_truth_numbers",
        "a price is a text",
        f"update ground_truths set truth_jsonb = jsonb_set(truth_jsonb, '{{entry_price}}', '\"1\"') where {CYCLE}",
    ),
    Seed(
        "09_truth_numbers",
        "a price is below nothing",
        f"update ground_truths set truth_jsonb = jsonb_set(truth_jsonb, '{{resolved_price}}', '-1') where {CYCLE}",
    ),
    *(
        Seed("09_records", f"a candle {wrong}", f"update market_records set values_jsonb = {values} where {CANDLE}")
        for wrong, values in {
            "has no close": "values_jsonb - 'close'",
            "closes at a text": 'values_jsonb || \'{"close": "27000"}\'',
            "closes at nothing": "values_jsonb || '{\"close\": 0}'",
            "closes in a list": "values_jsonb || '{\"close\": [27000]}'",
        }.items()
    ),
    Seed(
        "09_records",
        "a correction is no price",
        """update operator_orders set detail_jsonb = jsonb_set(detail_jsonb, '{values,open}', 'false')
           where kind = 'correct'""",
    ),
]

RULES_11_AND_12 = [
    Seed("11_cycles_open", "planned, though it could be run", f"update cycles set status = 'planned' where {CYCLE}"),
    Seed("11_cycles_open", "running for ever", LIVE + f"update cycles set status = 'running' where {CYCLE}"),
    Seed("11_truths_open", "no truth, though its series are complete", f"delete from ground_truths where {CYCLE}"),
    Seed("11_truths_open", "no truth after a day", LIVE + f"delete from ground_truths where {CYCLE}"),
    Seed("11_scores_open", "a forecast is not scored", f"delete from scores where {ONE}"),
    Seed(
        "11_gaps_open",
        "a gap stays open",
        """insert into market_gaps (provider, asset, kind, granularity, gap_start, gap_end, state, reason)
           select 'x', 'BTC', 'candle', '1m', start, start + interval '1 minute', 'open', 'late' from competition""",
    ),
    Seed(
        "11_without_reason",
        "a failure without a reason",
        f"update forecasts set meta_jsonb = '{{}}' where {CHARGED}",
    ),
    Seed(
        "11_without_reason",
        "a charge without a reason",
        f"update scores set score_failed_reason = null where {CHARGED}",
    ),
    Seed(
        "11_without_reason",
        "a plan without a reason",
        f"update cycles set status = 'planned', reason = null where {CYCLE}",
    ),
    Seed(
        "12_charged_unjustly",
        "a charge for an answer",
        f"update scores set status = 'CHARGED', score_failed_reason = 'CHARGED: no' where {ONE}",
    ),
    Seed(
        "12_charged_unjustly",
        "a charge for what the scorer could score of nobody",
        f"""update scores set status = 'EXEMPT', score_value = null, score_success = false where {CYCLE};
            update scores set status = 'CHARGED', score_failed_reason = 'CHARGED: no score, it raised' where {ONE}""",
    ),
    Seed(
        "12_charged_unjustly",
        "a charge for our fault",
        f"update forecasts set status = 'PLATFORM_FAULT' where {CHARGED}",
    ),
    Seed(
        "12_charged_unjustly",
        "a charge for a VOID cycle",
        "update ground_truths set status = 'VOID', truth_jsonb = null, reason = 'x'",
    ),
    Seed(
        "12_charged_unjustly",
        "a charge for the time before it joined",
        "update models set joined_at = joined_at + interval '1 hour' where id = 'moody'",
    ),
    Seed(
        "12_not_charged",
        "silence is free",
        f"update scores set status = 'EXEMPT', score_value = null, score_success = false where {CHARGED}",
    ),
    Seed("12_charge_value", "silence is cheap", f"update scores set score_value = score_value + 1 where {CHARGED}"),
    Seed(
        "12_charge_value",
        "silence costs a percentile of two answers",
        f"delete from scores where {at(20)} and model_id in ('even', 'expelled', 'level')",
    ),
    Seed(
        "12_charge_value",
        "silence costs what the rules of then did not say",
        "update slot_versions set detail_jsonb = jsonb_set(detail_jsonb, '{rules,missing,rule}', '\"worst\"')",
    ),
    Seed("12_due_answered", "nothing was due", f"update scores set due = false where {ONE}"),
    Seed("12_due_answered", "silence is an answer", f"update scores set answered = true where {CHARGED}"),
    Seed("12_joined", "it joined after it answered", "update models set joined_at = joined_at + interval '1 minute'"),
    Seed(
        "12_suspended",
        "nothing says what for",
        f"""update forecasts set status = 'SUSPENDED', meta_jsonb = '{{"reason": "suspended"}}' where {CHARGED}""",
    ),
    Seed(
        "12_suspended",
        "it answered among its failures",
        f"update forecasts set status = 'SUCCESS' where {RELENTLESS} and {at(40)}",
    ),
    Seed(
        "12_suspended",
        "a failure was our fault",
        f"update forecasts set status = 'PLATFORM_FAULT' where {RELENTLESS} and {at(40)}",
    ),
    Seed(
        "12_suspended",
        "a failure was another deployment's",
        f"update forecasts set deployment = 'old' where {RELENTLESS} and {at(40)}",
    ),
    Seed(
        "12_suspended",
        "it was suspended among its failures",
        f"update forecasts set status = 'SUSPENDED', meta_jsonb = meta_jsonb || {SAYS} where {RELENTLESS} and {at(40)}",
    ),
    Seed(
        "12_suspended",
        "not all of them were timeouts",
        f"""update forecasts set meta_jsonb = jsonb_set(meta_jsonb, '{{suspension,kind}}', '"TIMEOUT"')
            where {RELENTLESS} and status = 'SUSPENDED'""",
    ),
    Seed("12_suspended", "after its time", UNTIL.format("performed_at")),
    Seed("12_suspended", "beyond its window", UNTIL.format("performed_at + interval '6 hours'")),
    Seed("12_ranked", "a model is ranked that answered too little", entry("score,payload,answered", "4")),
    Seed("12_ranked", "a model is ranked that covers too little", entry("score,payload,coverage", "0.49")),
    Seed(
        "12_ranked",
        "a model is ranked that is out",
        """insert into operator_orders (kind, effective_at, model_id, reason, given_by)
           select 'disqualify', start, 'even', 'cheated', 'test' from competition""",
    ),
    Seed(
        "12_ranked",
        "a model is not ranked, and nobody says why",
        f"""update leaderboards set entries_jsonb = jsonb_set(entries_jsonb, '{{-1,unranked_reason}}', '" "')
            where {LAST_BOARD}""",
    ),
]

RULES_13_TO_15 = [
    Seed("13_ranks", "the first is third", entry("rank", "3")),
    Seed("13_ranks", "no value is ranked", entry("score,ranking,value", "null")),
    Seed(
        "13_ranks",
        "the last comes first",
        f"update leaderboards set entries_jsonb = entries_jsonb - 0 || (entries_jsonb->0) where {LAST_BOARD}",
    ),
    Seed(
        "13_ranks",
        "a tie has two ranks",
        f"""update leaderboards l set entries_jsonb = (
                select jsonb_agg(case e->>'model_id' when 'level' then e || '{{"rank": 5}}' else e end order by place)
                from jsonb_array_elements(l.entries_jsonb) with ordinality x(e, place))
            where {LAST_BOARD}""",
    ),
    *(
        Seed("14_unknown_versions", f"{table} of no version", f"update {table} set version = 'nobody''s'")
        for table in ("ground_truths", "scores", "score_rollups", "model_scores", "leaderboards")
    ),
    Seed("14_current_version", "no version is shown", "update slot_versions set current = false"),
    Seed(
        "14_current_version",
        "two versions are shown",
        "drop index slot_versions_current_idx;" + ANOTHER + "update slot_versions set current = true",
    ),
    Seed("14_scores_and_truths", "scores of no truth", f"delete from ground_truths where {CYCLE}"),
    Seed(
        "14_scores_and_truths",
        "a value for a VOID cycle",
        f"update ground_truths set status = 'VOID', truth_jsonb = null, reason = 'x' where {CYCLE}",
    ),
    Seed(
        "14_mixed_board",
        "a board looks back on scores of another version",
        ANOTHER + f"update scores set version = 'other' where {CYCLE}",
    ),
    Seed(
        "15_first_kept",
        "a restatement has replaced the first",
        f"""insert into market_restatements (provider, asset, kind, granularity, ts_event, values_jsonb,
                first_values_jsonb)
            select provider, asset, kind, granularity, ts_event, values_jsonb, values_jsonb || '{{"close": 1}}'
            from market_records where {CANDLE}""",
    ),
    Seed(
        "15_grid",
        "a candle opens beside its grid",
        f"update market_records set ts_event = ts_event + '1 s' where {CANDLE}",
    ),
    Seed("15_grid", "a tick of a minute", TICK.replace("'1s'", "'1m'") + CANDLE),
]
