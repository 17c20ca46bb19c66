-- rule: 6
-- asset: predictions
-- title: a model that had joined has no forecast in a cycle that was performed
-- Not of a model that is out by today's orders, nor of one that was out by those given when the cycle was performed.
select m.id as model_id, c.prediction_config_id, c.performed_at, m.joined_at
from cycles c
join models m on m.joined_at <= c.performed_at
where c.performed_at >= :start and c.performed_at < :end and c.status = 'PERFORMED'
  and not exists (
      select from forecasts f
      where f.performed_at = c.performed_at and f.prediction_config_id = c.prediction_config_id and f.model_id = m.id)
  and not exists (
      select from model_exclusions x
      where x.model_id = m.id and x.since <= c.performed_at and (x.until is null or c.performed_at < x.until))
  and coalesce((
      select o.kind from operator_orders o
      where o.model_id = m.id and o.kind in ('disqualify', 'reinstate', 'leave')
        and o.effective_at <= c.performed_at and o.given_at <= c.updated_at
      order by o.effective_at desc, o.id desc limit 1), 'reinstate') = 'reinstate'
order by c.performed_at, c.prediction_config_id, m.id
