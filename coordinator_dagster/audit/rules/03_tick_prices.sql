-- rule: 3
-- asset: ground_truths
-- title: a price of a truth is not the last trade at or before its time
-- Truths of the default shape only. A trade that came after a quiet moment had its price changes nothing: what was on
-- the tape when the truth was found counts. Where that has begun to leave the tape, a newer version's is an older one.
with priced_by as materialized (
    select distinct on (c.id, s.spec->>'asset') c.id, s.spec->>'asset' as asset, s.spec->>'kind' as kind,
           s.spec->>'granularity' as granularity
    from scheduled_prediction_configs c,
         jsonb_array_elements(case jsonb_typeof(c.series_jsonb) when 'array' then c.series_jsonb end)
             with ordinality s(spec, place)
    order by c.id, s.spec->>'asset', s.place
), prices as (
    select g.prediction_config_id, g.performed_at, g.version, g.resolved_at, p.name, p.at, p.price,
           g.truth_jsonb->>'source' as provider, c.asset, c.granularity
    from ground_truths g
    join priced_by c on c.id = g.prediction_config_id and c.kind = 'tick' and c.asset = g.truth_jsonb->>'asset'
    cross join lateral (values
        ('entry_price', g.performed_at, g.truth_jsonb->'entry_price'),
        ('resolved_price', g.resolvable_at, g.truth_jsonb->'resolved_price')) p(name, at, price)
    where g.performed_at >= :start and g.performed_at < :end and g.status = 'RESOLVED' and not g.external
      and g.truth_jsonb ?& array['asset', 'entry_price', 'resolved_price', 'source']
      and (g.performed_at < (select cycles_from from tape_expired)) is not true
), tape as materialized (
    select provider, asset, granularity, min(ts_event) as since
    from market_records where kind = 'tick' group by provider, asset, granularity
), corrections as materialized (
    select distinct on (detail_jsonb->>'series', effective_at)
           detail_jsonb->>'series' as series, effective_at as ts_event, detail_jsonb->'values' as corrected
    from operator_orders where kind = 'correct'
    order by detail_jsonb->>'series', effective_at, id desc
), compared as (
    select p.*, r.id as record_id, r.ts_event, t.since, coalesce(o.corrected, r.values_jsonb)->'price' as last_price
    from prices p
    left join tape t using (provider, asset, granularity)
    left join lateral (
        select * from market_records m
        where m.provider = p.provider and m.asset = p.asset and m.kind = 'tick' and m.granularity = p.granularity
          and m.ts_event <= p.at
          and m.ts_ingested <= p.resolved_at
        order by m.ts_event desc limit 1
    ) r on true
    left join corrections o on o.ts_event = r.ts_event
         and o.series = concat_ws('/', r.provider, r.asset, r.kind, r.granularity)
)
select prediction_config_id, performed_at, version, name, at, price::text as given, last_price::text as expected,
       provider, asset, ts_event,
       case when record_id is null then 'no trade before it' else 'the last trade had another price' end as problem
from compared
where record_id is null and at >= since  -- truths outlive the tape
   or record_id is not null and price is distinct from last_price
order by performed_at, prediction_config_id, name
