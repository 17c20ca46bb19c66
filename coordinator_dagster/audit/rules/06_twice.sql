-- rule: 6
-- asset: predictions
-- title: a forecast, a truth or a score that is there twice
select 'forecasts' as "table", performed_at, prediction_config_id, model_id, null as version, count(*) as times
from forecasts where performed_at >= :start and performed_at < :end
group by 2, 3, 4 having count(*) > 1
union all
select 'ground_truths', performed_at, prediction_config_id, null, version, count(*)
from ground_truths where performed_at >= :start and performed_at < :end
group by 2, 3, 5 having count(*) > 1
union all
select 'scores', performed_at, prediction_config_id, model_id, version, count(*)
from scores where performed_at >= :start and performed_at < :end
group by 2, 3, 4, 5 having count(*) > 1
order by 2, 1, 3, 4
