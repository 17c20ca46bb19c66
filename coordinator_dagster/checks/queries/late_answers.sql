-- rule: 2
-- asset: predictions
-- title: answers that came too late or not at all, by window and model
select c.window_start, f.model_id, count(*) filter (where f.status = 'LATE') as late,
       count(*) filter (where f.status = 'TIMEOUT') as timeout,
       max(extract(epoch from f.answered_at - f.asked_at)) as slowest_seconds
from forecasts f
join cycles c on c.prediction_config_id = f.prediction_config_id and c.performed_at = f.performed_at
where f.status in ('LATE', 'TIMEOUT') and f.performed_at >= :start and f.performed_at < :end
group by 1, 2
order by 1, 2
