-- rule: 12
-- asset: scores
-- title: a score says wrongly whether an answer was due, or whether there was one
-- Due: the cycle is not VOID and the absence not ours. Where the scoring slot failed, either may be said.
with stated as (
    select s.model_id, s.prediction_config_id, s.performed_at, s.version, s.status, f.status as forecast_status,
           g.status as truth_status, s.due, s.answered,
           case when g.status = 'VOID' or f.status = 'PLATFORM_FAULT' or s.performed_at < m.joined_at then false
                when f.status = 'SUCCESS' and s.status = 'EXEMPT' then s.due
                else true end as right_due,
           f.status = 'SUCCESS' as right_answered
    from scores s
    join forecasts f on f.performed_at = s.performed_at and f.prediction_config_id = s.prediction_config_id
         and f.model_id = s.model_id
    join slot_versions v on v.version = s.version
    join ground_truths g on g.performed_at = s.performed_at and g.prediction_config_id = s.prediction_config_id
         and g.version = v.detail_jsonb->>'truth_version'
    join models m on m.id = s.model_id
    where s.performed_at >= :start and s.performed_at < :end
)
select *
from stated
where due <> right_due or answered <> right_answered
order by performed_at, prediction_config_id, model_id
