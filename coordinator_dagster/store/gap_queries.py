"""What `gaps.py` asks and writes: statements and reasons."""

from coordinator_dagster.store.tape import KEY

STANDING = "state in ('open', 'healing')"
UNANSWERED = f"{STANDING} and cardinality(empty_answers) = 0"
INSERT = (
    "insert into market_gaps as g (provider, asset, kind, granularity, gap_start, gap_end, state, reason, next_try_at) "
    "values (:provider, :asset, :kind, :granularity, :start, :end, :state, :reason, :next_try) "
    "on conflict (provider, asset, kind, granularity, gap_start) do update set "
)
REOPEN = (
    "state = 'open', reason = excluded.reason, updated_at = now(), "
    "gap_end = case when g.state = 'CLOSED' then excluded.gap_end else greatest(g.gap_end, excluded.gap_end) end"
)
NUMBERED = "trades {} to {} are missing"  # their numbers prove that they were
IS_NUMBERED = f"reason like '{NUMBERED.format('%', '%')}'"
NOT_YET_AGREED = "the venue answered with no trades; it is asked again"
# A feed answered a span of ticks with nothing, once more.
AGREE = f"""
insert into market_gaps as g (provider, asset, kind, granularity, gap_start, gap_end, state, reason, empty_answers)
values (:provider, :asset, :kind, :granularity, :start, :end, 'healing',
        '{NOT_YET_AGREED}', array[cast(:now as timestamptz)])
on conflict (provider, asset, kind, granularity, gap_start) do update set updated_at = now(),
    gap_end = case when g.state = 'CLOSED' then excluded.gap_end
                   when g.{STANDING} then least(g.gap_end, excluded.gap_end) else g.gap_end end,
    state = case when g.state = 'CLOSED' then 'healing' else g.state end,
    reason = case when g.state = 'CLOSED' then excluded.reason else g.reason end,
    empty_answers = case when g.state = 'CLOSED' then '{{}}' else g.empty_answers end || excluded.empty_answers
returning gap_end, cardinality(empty_answers) >= :answers and :now - empty_answers[1] >= :over as agreed
"""
CAME, TRADES_CAME, NOTHING_TRADED = "the missing candles came", "trades came", "nothing was traded"
GIVEN_UP = "the venue did not serve it within a day; last: "  # and the reason before that
AGED = "its time has left the tape by age"
BEFORE_FIRST = "the venue has not shown yet that this is its first trade"
# Where a venue numbers its trades, a tick says how many it stands for and the last one's number.
MISSING_TRADES = f"""
with near as (
    select ts_event, meta_jsonb from market_records where {KEY} and ts_event > :start and ts_event <= :end
    union all (select ts_event, meta_jsonb from market_records where {KEY} and ts_event <= :start
               order by ts_event desc limit 1)
    union all (select ts_event, meta_jsonb from market_records where {KEY} and ts_event > :end
               order by ts_event limit 1)
), numbered as (
    select ts_event, (meta_jsonb->>'trade_id')::bigint as last,
           (meta_jsonb->>'trade_id')::bigint - (meta_jsonb->>'trades')::int as before from near
), linked as (
    select *, lag(ts_event) over w as came_before, lag(last) over w as previous from numbered
    window w as (order by ts_event)
)
select came_before, ts_event, previous, before from linked where before > previous
"""
FIRST_TRADE = f"select min(ts_event) from market_records where {KEY} and ts_event > :origin and meta_jsonb ? 'trade_id'"
