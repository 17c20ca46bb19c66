-- rule: 12
-- asset: predictions
-- title: windows of the last 24 hours in which no model answered, or the platform was at fault
-- Where nobody at all answers, the fault is most likely ours. Who is suspended was not asked.
select c.window_start, count(*) as asked, count(*) filter (where f.status = 'SUCCESS') as answered,
       count(*) filter (where f.status = 'PLATFORM_FAULT') as platform_faults,
       round(100.0 * count(*) filter (where f.status = 'PLATFORM_FAULT') / count(*), 1) as percent_platform_faults,
       round(cast(percentile_cont(0.99) within group (order by f.queued_ms) as numeric), 1) as queued_ms_p99,
       max(f.meta_jsonb->>'reason') filter (where f.status = 'PLATFORM_FAULT') as platform_reason,
       max(f.meta_jsonb->>'reason') filter (where f.status <> 'PLATFORM_FAULT') as model_reason
from forecasts f
join cycles c on c.prediction_config_id = f.prediction_config_id and c.performed_at = f.performed_at
where f.status <> 'SUSPENDED' and f.performed_at >= :start and f.performed_at < :end
  and f.performed_at > (select max(performed_at) from cycles where status = 'PERFORMED') - interval '24 hours'
group by 1
having count(*) filter (where f.status = 'SUCCESS') = 0 or count(*) filter (where f.status = 'PLATFORM_FAULT') > 0
order by 1
