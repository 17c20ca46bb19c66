-- rule: 11
-- asset: predictions
-- title: something did not succeed, and no reason says why
select 'forecasts' as "table", model_id, prediction_config_id, performed_at as at, status
from forecasts
where performed_at >= :start and performed_at < :end and status <> 'SUCCESS'
  and coalesce(meta_jsonb->>'reason', '') !~ '\S'
union all
select 'scores', model_id, prediction_config_id, performed_at, status
from scores
where performed_at >= :start and performed_at < :end and status <> 'SCORED'
  and coalesce(score_failed_reason, '') !~ '\S'
union all
select 'cycles', null, prediction_config_id, performed_at, status
from cycles
where performed_at >= :start and performed_at < :end and status = 'planned' and coalesce(reason, '') !~ '\S'
union all
select 'market_gaps', null, concat_ws('/', provider, asset, kind, granularity), gap_start, state
from market_gaps
where gap_end > :start and gap_start < :end and reason !~ '\S'
order by 4, 1, 3, 2
