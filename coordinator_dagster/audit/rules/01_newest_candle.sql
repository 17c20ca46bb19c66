-- rule: 1
-- asset: inference_inputs
-- title: a live input lacks the newest candle that had arrived by its cut-off
-- Live only: what a replay heals later counts as known at its event's end, and inputs do not change for it.
with tape as materialized (  -- to be joined as a whole: the index begins with the provider
    select asset, ts_event, event_end, known_at from market_records where kind = 'candle' and granularity = '1m'
), inputs as (
    select performed_at, cut_off, payload_jsonb->>'symbol' as asset, payload_jsonb->'candles_1m'->-1->'ts' as last_ts
    from inference_inputs
    where performed_at >= :start and performed_at < :end
      and (select mode from competition) = 'live'
      and jsonb_typeof(payload_jsonb->'candles_1m') = 'array'
      and payload_jsonb->'asof_ts' = to_jsonb(floor(extract(epoch from performed_at)))
    offset 0
)
select i.performed_at, i.cut_off, i.asset, i.last_ts::text as last_candle_given, t.ts_event as newest_candle, t.known_at
from inputs i
join tape t on t.asset = i.asset and t.event_end = date_bin('1 minute', i.performed_at, 'epoch')
where t.known_at <= i.cut_off
  and i.last_ts is distinct from to_jsonb(extract(epoch from t.ts_event))
order by i.performed_at
