-- rule: 12
-- asset: predictions
-- title: models that are suspended now, or answered less than half of the last 24 hours, with when they failed last
-- Times in ms. What the platform lost is no model's fault; who was disqualified or has left owes nothing.
with lately as (
    select model_id, performed_at, status, exec_time_ms, queued_ms, meta_jsonb->>'reason' as reason
    from forecasts
    where performed_at >= :start and performed_at < :end and status <> 'PLATFORM_FAULT'
      and performed_at > (select max(performed_at) from cycles where status = 'PERFORMED') - interval '24 hours'
), counted as (
    select model_id, count(*) as due, count(*) filter (where status = 'SUCCESS') as answered,
           count(*) filter (where status = 'FAILED') as failed, count(*) filter (where status = 'TIMEOUT') as timeouts,
           count(*) filter (where status = 'LATE') as late, count(*) filter (where status = 'ABSENT') as absent,
           count(*) filter (where status = 'SUSPENDED') as suspended,
           round(cast(percentile_cont(0.5) within group (order by exec_time_ms) as numeric), 1) as exec_p50,
           round(cast(percentile_cont(0.99) within group (order by exec_time_ms) as numeric), 1) as exec_p99,
           round(cast(percentile_cont(0.99) within group (order by queued_ms) as numeric), 1) as queued_p99,
           max(performed_at) filter (where status <> 'SUCCESS') as performed_at,
           (array_agg(reason order by performed_at desc) filter (where status <> 'SUCCESS'))[1] as last_reason
    from lately group by model_id
)
select c.model_id, case s.state when 'suspended' then s.until end as suspended_until, c.due, c.answered, c.failed,
       c.timeouts, c.late, c.absent, c.suspended, c.exec_p50, c.exec_p99, c.queued_p99, c.performed_at, c.last_reason
from counted c
join model_states s on s.model_id = c.model_id
where s.state = 'suspended' or s.state = 'active' and 2 * c.answered < c.due
order by c.model_id
