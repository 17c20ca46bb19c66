-- rule: 1
-- asset: inference_inputs
-- title: an input holds a record that was not over, had not arrived, or is not the tape's
-- Neighbouring inputs share nearly all their records: each distinct one is looked at once, where it was first given.
-- Which provider served it is not in the payload: one provider's record that fits is enough.
with given as (
    select p.symbol as asset, r.kind, r.record, min(i.performed_at) as performed_at, min(i.cut_off) as cut_off
    from inference_inputs i
    -- one call, for each that touches the payload unpacks it anew
    cross join lateral jsonb_to_record(i.payload_jsonb) p(symbol text, candles_1m jsonb, ticks jsonb)
    cross join lateral (
        select 'candle' as kind, c as record
        from jsonb_array_elements(case jsonb_typeof(p.candles_1m) when 'array' then p.candles_1m end) c
        union all
        select 'tick', t from jsonb_array_elements(case jsonb_typeof(p.ticks) when 'array' then p.ticks end) t
    ) r
    where i.performed_at >= :start and i.performed_at < :end
    group by p.symbol, r.kind, r.record
), timed as (
    select *, case jsonb_typeof(record->'ts') when 'number' then to_timestamp((record->>'ts')::float8) end as ts_event,
           case kind when 'candle' then interval '1 minute' else interval '0' end as lasts
    from given
), records as materialized (  -- to be joined as a whole: the index begins with the provider
    select provider, asset, kind, granularity, ts_event, known_at, values_jsonb
    from market_records where kind = 'candle' and granularity = '1m' or kind = 'tick' and granularity = '1s'
), tape as materialized (
    select asset, kind, min(ts_event) as since from records group by asset, kind
), compared as (
    select t.performed_at, t.cut_off, t.asset, t.kind, t.ts_event, t.record, t.ts_event + t.lasts as event_end,
           count(r.ts_event) as found,
           bool_or(r.known_at <= t.cut_off) as arrived,
           bool_or(t.record @> v.known
                   or t.kind = 'candle' and not t.record ?& array['open', 'high', 'low', 'close', 'volume']
                      and coalesce(t.record->'close' = v.known->'close', true)) as same
    from timed t
    left join records r on r.asset = t.asset and r.kind = t.kind and r.ts_event = t.ts_event
    left join lateral (
        select detail_jsonb->'values' as corrected from operator_orders
        where kind = 'correct' and effective_at = r.ts_event and given_at <= t.cut_off
          and detail_jsonb->>'series' = concat_ws('/', r.provider, r.asset, r.kind, r.granularity)
        order by id desc limit 1
    ) o on true
    cross join lateral (select coalesce(o.corrected, r.values_jsonb)) v(known)
    where t.ts_event is not null
    group by t.performed_at, t.cut_off, t.asset, t.kind, t.ts_event, t.record, t.lasts
)
select c.performed_at, c.cut_off, c.asset, c.kind, c.ts_event, c.record::text,
       case when c.event_end > c.performed_at then 'it was not over at the instant'
            when c.found = 0 then 'the tape has no such record'
            when not c.arrived then 'it had not arrived by the cut-off'
            else 'the tape holds other values' end as problem
from compared c
left join tape t on t.asset = c.asset and t.kind = c.kind
where c.event_end > c.performed_at
   or c.found = 0 and c.ts_event >= t.since  -- older ones may have left the tape by age
   or c.found > 0 and not (c.arrived and c.same)
order by c.performed_at, c.ts_event
