-- rule: 4
-- asset: ground_truths
-- title: a truth from elsewhere that is not labelled external, or one from the tape that is
select g.prediction_config_id, g.performed_at, g.version, g.external, c.series_jsonb::text as series
from ground_truths g
join scheduled_prediction_configs c on c.id = g.prediction_config_id
where g.performed_at >= :start and g.performed_at < :end and g.status = 'RESOLVED'
  and jsonb_typeof(c.series_jsonb) = 'array'
  and g.external <> (c.series_jsonb = '[]')
order by g.performed_at, g.prediction_config_id
