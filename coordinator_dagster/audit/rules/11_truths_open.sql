-- rule: 11
-- asset: ground_truths
-- title: a performed cycle has no truth though it could have one, or had to be VOID
-- Live, and for truths from elsewhere: a day after resolvable_at, and ten minutes. In a replay: once its series are
-- complete through resolvable_at, and no gap that may still be filled reaches into it.
with series as (
    select c.id, s->>'asset' as asset, s->>'kind' as kind, s->>'granularity' as granularity,
           (select max(m.complete_through) from market_ingestion_state m
            where m.asset = s->>'asset' and m.kind = s->>'kind' and m.granularity = s->>'granularity')
           as complete_through
    from scheduled_prediction_configs c,
         jsonb_array_elements(case jsonb_typeof(c.series_jsonb) when 'array' then c.series_jsonb end) s
), through as (
    select id, case when bool_and(complete_through is not null) then min(complete_through) end as complete_through
    from series group by id
)
select c.prediction_config_id, c.performed_at, c.resolvable_at, t.complete_through,
       c.resolvable_at + interval '24 hours' as deadline
from cycles c
cross join competition k
left join through t on t.id = c.prediction_config_id
where c.performed_at >= :start and c.performed_at < :end and c.status = 'PERFORMED'
  and not exists (
      select from ground_truths g
      where g.performed_at = c.performed_at and g.prediction_config_id = c.prediction_config_id)
  and case when k.mode = 'live' or t.id is null
           then c.resolvable_at + interval '24 hours 10 minutes' < :now
           else c.resolvable_at <= t.complete_through
                and not exists (
                    select from market_gaps g
                    join series s on s.asset = g.asset and s.kind = g.kind and s.granularity = g.granularity
                    where s.id = c.prediction_config_id and g.state in ('open', 'healing')
                      and g.gap_end >= c.performed_at and g.gap_start <= c.resolvable_at) end
order by c.performed_at, c.prediction_config_id
