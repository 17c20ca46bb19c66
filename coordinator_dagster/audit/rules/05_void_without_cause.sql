-- rule: 5
-- asset: ground_truths
-- title: VOID over a fixed tape that held both prices when it was given up
-- The default resolver over candles only: other resolvers have other reasons. The end of a competition is one, too.
with priced_by as materialized (
    select distinct on (c.id) c.id, s.spec->>'asset' as asset, s.spec->>'granularity' as granularity,
           substring(s.spec->>'granularity', '^[0-9]+')::float8 * case right(s.spec->>'granularity', 1)
               when 's' then interval '1 second' when 'm' then interval '1 minute'
               when 'h' then interval '1 hour' when 'd' then interval '24 hours' end as step,
           s.spec->>'kind' as kind
    from scheduled_prediction_configs c,
         jsonb_array_elements(case jsonb_typeof(c.series_jsonb) when 'array' then c.series_jsonb end)
             with ordinality s(spec, place)
    where s.spec->>'asset' = c.scope_template_jsonb->>'asset'
    order by c.id, s.place
), void as materialized (
    select g.*, p.asset, p.granularity, p.step
    from ground_truths g
    join priced_by p on p.id = g.prediction_config_id and p.kind = 'candle'
    where g.performed_at >= :start and g.performed_at < :end
      and g.status = 'VOID' and g.order_id is null and not g.given_up
      and (g.performed_at < (select cycles_from from tape_expired)) is not true  -- an older version's verdict stays
      and not exists (select from operator_orders where kind = 'end' and given_at <= g.resolved_at)
      and exists (select from slot_versions v
                  where v.detail_jsonb->>'truth_version' = g.version
                    and v.detail_jsonb->'slots'->>'GROUND_TRUTH_RESOLVER' ~ '=slots.defaults:resolve_ground_truth ')
), records as materialized (  -- to be joined as a whole: the index begins with the provider
    select provider, asset, granularity, ts_event, ts_ingested from market_records where kind = 'candle'
)
select v.prediction_config_id, v.performed_at, v.version, v.resolvable_at, v.reason, v.resolved_at, r.provider,
       min(r.ts_event) as entry_candle, max(r.ts_event) as resolving_candle
from void v
cross join lateral (values (v.performed_at), (v.resolvable_at)) n(at)
join records r on r.asset = v.asset and r.granularity = v.granularity
     and r.ts_event = date_bin(v.step, n.at, 'epoch') - v.step and r.ts_ingested < v.resolved_at
group by 1, 2, 3, 4, 5, 6, 7
having count(*) = 2
order by 2, 1
