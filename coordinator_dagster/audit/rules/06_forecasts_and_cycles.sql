-- rule: 6
-- asset: predictions
-- title: a forecast of a cycle that was not performed, or that says something else than its cycle
select f.model_id, f.prediction_config_id, f.performed_at, c.status as cycle_status,
       case when c.status is null then 'there is no such cycle'
            when c.status <> 'PERFORMED' then 'its cycle was not performed'
            when f.resolvable_at <> c.resolvable_at then 'resolvable_at is not the cycle''s'
            else 'the scope is not the cycle''s' end as problem
from forecasts f
left join cycles c on c.performed_at = f.performed_at and c.prediction_config_id = f.prediction_config_id
where f.performed_at >= :start and f.performed_at < :end
  and (c.status is distinct from 'PERFORMED'
       or f.resolvable_at is distinct from c.resolvable_at
       or f.scope_key is distinct from c.scope_key
       or f.scope_jsonb is distinct from c.scope_jsonb)
order by f.performed_at, f.prediction_config_id, f.model_id
