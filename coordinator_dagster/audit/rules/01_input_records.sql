-- rule: 1
-- asset: inference_inputs
-- title: an input holds a record that was not over, had not arrived, or is not the tape's
-- Neighbouring inputs share nearly all their records: each distinct one is looked at once, where it was first given.
-- Which provider served it is not in the payload: one provider's record that fits is enough.
with inputs as (
    select performed_at, cut_off, payload_jsonb->>'symbol' as asset,
           case jsonb_typeof(payload_jsonb->'candles_1m') when 'array' then payload_jsonb->'candles_1m' end as candles,
           case jsonb_typeof(payload_jsonb->'ticks') when 'array' then payload_jsonb->'ticks' end as ticks
    from inference_inputs
    where performed_at >= :start and performed_at < :end
    offset 0  -- a fence: the payload is unpacked once, not once for each of its records
), given as (
    select asset, kind, record, min(performed_at) as performed_at, min(cut_off) as cut_off
    from inputs, lateral (
        select 'candle' as kind, record from jsonb_array_elements(candles) record
        union all
        select 'tick', record from jsonb_array_elements(ticks) record
    ) unpacked
    where jsonb_typeof(record->'ts') = 'number'
    group by asset, kind, record
), timed as (
    select *, to_timestamp((record->>'ts')::float8) as ts_event,
           case kind when 'candle' then '1m' else '1s' end as granularity,
           case kind when 'candle' then interval '1 minute' else interval '0' end as lasts
    from given
), tape as (
    select asset, kind, granularity, min(ts_event) as since
    from market_records group by asset, kind, granularity
), compared as (
    select t.performed_at, t.cut_off, t.asset, t.kind, t.ts_event, t.record, t.ts_event + t.lasts as event_end,
           count(r.id) as found,
           bool_or(r.known_at <= t.cut_off) as arrived,
           bool_or(t.record @> v.known
                   or t.kind = 'candle' and not t.record ?& array['open', 'high', 'low', 'close', 'volume']
                      and coalesce(t.record->'close' = v.known->'close', true)) as same
    from timed t
    left join market_records r
           on r.asset = t.asset and r.kind = t.kind and r.granularity = t.granularity and r.ts_event = t.ts_event
    left join lateral (
        select detail_jsonb->'values' as corrected from operator_orders
        where kind = 'correct' and effective_at = r.ts_event and given_at <= t.cut_off
          and detail_jsonb->>'series' = concat_ws('/', r.provider, r.asset, r.kind, r.granularity)
        order by id desc limit 1
    ) o on true
    cross join lateral (select coalesce(o.corrected, r.values_jsonb)) v(known)
    group by t.performed_at, t.cut_off, t.asset, t.kind, t.ts_event, t.record, t.lasts
)
select c.performed_at, c.cut_off, c.asset, c.kind, c.ts_event, c.record,
       case when c.event_end > c.performed_at then 'it was not over at the instant'
            when c.found = 0 then 'the tape has no such record'
            when not c.arrived then 'it had not arrived by the cut-off'
            else 'the tape holds other values' end as problem
from compared c
left join tape t on t.asset = c.asset and t.kind = c.kind
     and t.granularity = case c.kind when 'candle' then '1m' else '1s' end
where c.event_end > c.performed_at
   or c.found = 0 and c.ts_event >= t.since  -- older ones may have left the tape by age
   or c.found > 0 and not (c.arrived and c.same)
order by c.performed_at, c.ts_event
