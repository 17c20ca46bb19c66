-- rule: 11
-- asset: predictions
-- title: a cycle is still planned or running though it could have ended
-- Live: ten minutes after its window. In a replay it may wait for its series, and for nothing after the end.
with known as (
    select mode, case "window" when 'day' then interval '24 hours' else interval '1 hour' end as length,
           (select case when bool_and(complete_through is not null) then min(complete_through) end
            from market_ingestion_state) as through,
           exists (select from operator_orders where kind = 'end') as ended
    from competition
)
select c.prediction_config_id, c.performed_at, c.status, c.reason, c.window_start, k.through as complete_through
from cycles c
cross join known k
where c.performed_at >= :start and c.performed_at < :end and c.status in ('planned', 'running')
  and case k.mode
          when 'live' then c.window_start + k.length + interval '10 minutes' < :now
          else k.ended or c.performed_at <= k.through end
order by c.performed_at, c.prediction_config_id
