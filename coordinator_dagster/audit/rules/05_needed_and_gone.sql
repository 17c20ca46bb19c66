-- rule: 5
-- asset: ground_truths
-- title: a cycle has no truth, and records that it may need have left the tape by age
select c.prediction_config_id, c.performed_at, c.resolvable_at, c.status, e.cycles_from as whole_from
from cycles c
cross join tape_expired e
join scheduled_prediction_configs k on k.id = c.prediction_config_id
where c.performed_at >= :start and c.performed_at < :end and c.performed_at < e.cycles_from
  and c.status <> 'MISSED' and k.series_jsonb is distinct from '[]'
  and not exists (
      select from ground_truths g
      where g.performed_at = c.performed_at and g.prediction_config_id = c.prediction_config_id)
order by c.performed_at, c.prediction_config_id
