-- rule: 2
-- asset: scores
-- title: SCORED without an answer that counts, or a score without a forecast
select s.model_id, s.prediction_config_id, s.performed_at, s.version, s.status as score_status,
       f.status as forecast_status
from scores s
left join forecasts f on f.performed_at = s.performed_at and f.prediction_config_id = s.prediction_config_id
     and f.model_id = s.model_id
where s.performed_at >= :start and s.performed_at < :end
  and (f.status is null or s.status = 'SCORED' and f.status <> 'SUCCESS')
order by s.performed_at, s.prediction_config_id, s.model_id
