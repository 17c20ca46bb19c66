-- rule: 3
-- asset: market_records
-- title: live: series whose tape ends too long ago: the feed, or the live run, stands still
-- Live, a series is complete through the end of its last step, and two minutes for its way here.
with needed as (
    select distinct s->>'asset' as asset, s->>'kind' as kind, s->>'granularity' as granularity,
           (s->>'granularity')::interval + interval '2 minutes' as allowed
    from scheduled_prediction_configs c
    cross join lateral jsonb_array_elements(case jsonb_typeof(c.series_jsonb) when 'array' then c.series_jsonb end) s
    where c.active
), known as (
    select asset, kind, granularity, max(complete_through) as complete_through
    from market_ingestion_state group by 1, 2, 3
)
select n.asset || '/' || n.kind || '/' || n.granularity as series, k.complete_through,
       least(:now, :end) - k.complete_through as behind, n.allowed
from needed n
cross join competition c
left join known k using (asset, kind, granularity)
where c.mode = 'live' and least(:now, :end) > c.start + n.allowed
  and (k.complete_through is null or k.complete_through < least(:now, :end) - n.allowed)
order by 1
