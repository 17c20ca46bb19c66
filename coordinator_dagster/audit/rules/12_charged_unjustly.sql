-- rule: 12
-- asset: scores
-- title: a charge for an answer, for our fault, for a VOID cycle, or for the time before the model joined
select s.model_id, s.prediction_config_id, s.performed_at, s.version, s.score_value, f.status as forecast_status,
       g.status as truth_status, m.joined_at
from scores s
left join forecasts f on f.performed_at = s.performed_at and f.prediction_config_id = s.prediction_config_id
     and f.model_id = s.model_id
left join slot_versions v on v.version = s.version
left join ground_truths g on g.performed_at = s.performed_at and g.prediction_config_id = s.prediction_config_id
     and g.version = v.detail_jsonb->>'truth_version'
left join models m on m.id = s.model_id
where s.performed_at >= :start and s.performed_at < :end and s.status = 'CHARGED'
  and (f.status = 'PLATFORM_FAULT' or g.status = 'VOID' or s.performed_at < m.joined_at
       -- An answer is charged only where the slot could not score it, and did score others of the cycle.
       or f.status = 'SUCCESS'
          and (s.score_failed_reason not like 'CHARGED: no score, %'
               or not exists (
                   select from scores o
                   where o.performed_at = s.performed_at and o.prediction_config_id = s.prediction_config_id
                     and o.version = s.version and o.status = 'SCORED')))
order by s.performed_at, s.prediction_config_id, s.model_id
