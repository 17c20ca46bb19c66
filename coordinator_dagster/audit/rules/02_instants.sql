-- rule: 2
-- asset: predictions
-- title: a cycle at an instant that its config is not due at
with terms as (
    select c.id, (c.schedule_jsonb->>'every_seconds')::numeric as every, c.active or c.active_until is not null as used,
           greatest(c.active_from, k.start) as since, c.active_until as until,
           case k."window" when 'day' then interval '24 hours' else interval '1 hour' end as length
    from scheduled_prediction_configs c, competition k
)
select c.prediction_config_id, c.performed_at, c.status, c.window_start, t.every as every_seconds, t.since, t.until,
       case when extract(epoch from c.performed_at) % t.every <> 0 then 'no multiple of its cadence'
            when c.window_start <> date_bin(t.length, c.performed_at, 'epoch') then 'in another window than its own'
            when not t.used then 'the config was never active'
            else 'outside the time its config holds for' end as problem
from cycles c
join terms t on t.id = c.prediction_config_id
where c.performed_at >= :start and c.performed_at < :end
  and (extract(epoch from c.performed_at) % t.every <> 0
       or c.window_start <> date_bin(t.length, c.performed_at, 'epoch')
       or not t.used
       or c.performed_at < t.since
       or c.performed_at >= t.until)
order by c.performed_at, c.prediction_config_id
