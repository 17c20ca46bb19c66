-- rule: 3
-- asset: ground_truths
-- title: a price of a truth is not the close at the last boundary before its time
-- Truths of the default shape only; the first series of the asset gives the price.
with priced_by as materialized (
    select distinct on (c.id, s.spec->>'asset') c.id, s.spec->>'asset' as asset, s.spec->>'kind' as kind,
           s.spec->>'granularity' as granularity
    from scheduled_prediction_configs c,
         jsonb_array_elements(case jsonb_typeof(c.series_jsonb) when 'array' then c.series_jsonb end)
             with ordinality s(spec, place)
    order by c.id, s.spec->>'asset', s.place
), candles as (
    select *, substring(granularity, '^[0-9]+')::float8 * case right(granularity, 1)
                  when 's' then interval '1 second' when 'm' then interval '1 minute'
                  when 'h' then interval '1 hour' when 'd' then interval '24 hours' end as step
    from priced_by where kind = 'candle'
), prices as (
    select g.prediction_config_id, g.performed_at, g.version, p.name, p.at, p.price,
           g.truth_jsonb->>'source' as provider, c.asset, c.granularity,
           date_bin(c.step, p.at, 'epoch') - c.step as ts_event
    from ground_truths g
    join candles c on c.id = g.prediction_config_id and c.asset = g.truth_jsonb->>'asset'
    cross join lateral (values
        ('entry_price', g.performed_at, g.truth_jsonb->'entry_price'),
        ('resolved_price', g.resolvable_at, g.truth_jsonb->'resolved_price')) p(name, at, price)
    where g.performed_at >= :start and g.performed_at < :end and g.status = 'RESOLVED' and not g.external
      and g.truth_jsonb ?& array['asset', 'entry_price', 'resolved_price', 'source']
), records as materialized (  -- all at once: a look into the index for each price takes ten times as long
    select provider, asset, kind, granularity, ts_event, values_jsonb from market_records where kind = 'candle'
), tape as materialized (
    select provider, asset, granularity, min(ts_event) as since from records group by provider, asset, granularity
), corrections as materialized (
    select distinct on (detail_jsonb->>'series', effective_at)
           detail_jsonb->>'series' as series, effective_at as ts_event, detail_jsonb->'values' as corrected
    from operator_orders where kind = 'correct'
    order by detail_jsonb->>'series', effective_at, id desc
), compared as (
    select p.*, r.ts_event is not null as found, t.since, coalesce(o.corrected, r.values_jsonb)->'close' as close
    from prices p
    left join tape t using (provider, asset, granularity)
    left join records r using (provider, asset, granularity, ts_event)
    left join corrections o on o.ts_event = r.ts_event
         and o.series = concat_ws('/', r.provider, r.asset, r.kind, r.granularity)
)
select prediction_config_id, performed_at, version, name, at, price::text as given, close::text as expected,
       provider, asset, granularity, ts_event,
       case when not found then 'no candle closes there' else 'the candle closes elsewhere' end as problem
from compared
where not found and ts_event >= since  -- truths outlive the tape
   or found and price is distinct from close
order by performed_at, prediction_config_id, name
