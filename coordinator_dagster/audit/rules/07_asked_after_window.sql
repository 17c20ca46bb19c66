-- rule: 7
-- asset: predictions
-- title: a live model was asked after the cycle's window had ended
select f.model_id, f.prediction_config_id, f.performed_at, f.asked_at, c.window_start + k.length as window_end
from (select mode, case "window" when 'day' then interval '24 hours' else interval '1 hour' end as length
      from competition) k
join cycles c on k.mode = 'live'
join forecasts f on f.performed_at = c.performed_at and f.prediction_config_id = c.prediction_config_id
where c.performed_at >= :start and c.performed_at < :end and f.performed_at >= :start and f.performed_at < :end
  -- the last instant's answers are asked for once its data are there, moments after it
  and f.asked_at > c.window_start + k.length
order by f.performed_at, f.prediction_config_id, f.model_id
