-- rule: 7
-- asset: predictions
-- title: a MISSED cycle without a reason, or with forecasts
select c.prediction_config_id, c.performed_at, c.reason, count(f.id) as forecasts
from cycles c
left join forecasts f on f.performed_at = c.performed_at and f.prediction_config_id = c.prediction_config_id
where c.performed_at >= :start and c.performed_at < :end and c.status = 'MISSED'
group by c.prediction_config_id, c.performed_at, c.reason
having coalesce(c.reason, '') !~ '\S' or count(f.id) > 0
order by c.performed_at, c.prediction_config_id
