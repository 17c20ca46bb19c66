-- rule: 3
-- asset: ground_truths
-- title: resolvable_at is not the instant plus the config's horizon
with due as (
    select c.prediction_config_id, c.performed_at, c.resolvable_at,
           c.performed_at + make_interval(secs => coalesce(
               k.schedule_jsonb->>'resolve_after_seconds', k.scope_template_jsonb->>'horizon_seconds')::float8)
           as right_one
    from cycles c
    join scheduled_prediction_configs k on k.id = c.prediction_config_id
    where c.performed_at >= :start and c.performed_at < :end
)
select 'cycles' as "table", prediction_config_id, performed_at, null as model_id, resolvable_at, right_one as expected
from due where resolvable_at is distinct from right_one
union all
select 'ground_truths', prediction_config_id, performed_at, null, g.resolvable_at, d.right_one
from ground_truths g join due d using (prediction_config_id, performed_at)
where g.resolvable_at is distinct from d.right_one
union all
select 'scores', prediction_config_id, performed_at, model_id, s.resolvable_at, d.right_one
from scores s join due d using (prediction_config_id, performed_at)
where s.resolvable_at is distinct from d.right_one
order by 3, 1, 2
