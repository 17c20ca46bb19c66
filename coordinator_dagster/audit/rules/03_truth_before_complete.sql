-- rule: 3
-- asset: ground_truths
-- title: a truth though a series of its config is not complete through resolvable_at
-- A series of candles that is complete through one's end is so until just before the end of the next.
-- Which provider a config is served by is not in its row: the one that has come furthest counts.
with through as (
    select c.id, s->>'asset' as asset, s->>'kind' as kind, s->>'granularity' as granularity,
           (select max(m.complete_through) + case when s->>'kind' = 'tick' then interval '0' else
                (s->>'granularity')::interval - interval '1 microsecond' end
            from market_ingestion_state m
            where m.asset = s->>'asset' and m.kind = s->>'kind' and m.granularity = s->>'granularity')
           as complete_through
    from scheduled_prediction_configs c,
         jsonb_array_elements(case jsonb_typeof(c.series_jsonb) when 'array' then c.series_jsonb end) s
)
select g.prediction_config_id, g.performed_at, g.version, g.resolvable_at, t.asset, t.kind, t.granularity,
       t.complete_through
from ground_truths g
join through t on t.id = g.prediction_config_id
where g.performed_at >= :start and g.performed_at < :end and g.status = 'RESOLVED' and not g.external
  and (t.complete_through is null or t.complete_through < g.resolvable_at)
order by g.performed_at, g.prediction_config_id
