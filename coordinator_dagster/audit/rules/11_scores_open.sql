-- rule: 11
-- asset: scores
-- title: a forecast of a settled cycle has no score in any version
-- Live, a truth that is ten minutes old.
select f.model_id, f.prediction_config_id, f.performed_at, f.status
from forecasts f
where f.performed_at >= :start and f.performed_at < :end
  and exists (
      select from ground_truths g
      where g.performed_at = f.performed_at and g.prediction_config_id = f.prediction_config_id
        and ((select mode from competition) = 'replay' or g.resolved_at + interval '10 minutes' < :now))
  and not exists (
      select from scores s
      where s.performed_at = f.performed_at and s.prediction_config_id = f.prediction_config_id
        and s.model_id = f.model_id)
order by f.performed_at, f.prediction_config_id, f.model_id
