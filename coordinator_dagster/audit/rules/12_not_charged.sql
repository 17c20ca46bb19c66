-- rule: 12
-- asset: scores
-- title: an absence that was not our fault is not charged as the pack says
select s.model_id, s.prediction_config_id, s.performed_at, s.version, f.status as forecast_status,
       s.status as score_status, s.score_failed_reason, v.detail_jsonb->'rules'->'missing'->>'rule' as missing_rule
from scores s
join forecasts f on f.performed_at = s.performed_at and f.prediction_config_id = s.prediction_config_id
     and f.model_id = s.model_id
join slot_versions v on v.version = s.version
join ground_truths g on g.performed_at = s.performed_at and g.prediction_config_id = s.prediction_config_id
     and g.version = v.detail_jsonb->>'truth_version'
join models m on m.id = s.model_id
where s.performed_at >= :start and s.performed_at < :end
  and f.status in ('FAILED', 'TIMEOUT', 'LATE', 'ABSENT', 'SUSPENDED')
  and g.status = 'RESOLVED' and s.performed_at >= m.joined_at
  and s.status <> case v.detail_jsonb->'rules'->'missing'->>'rule' when 'skip' then 'EXEMPT' else 'CHARGED' end
order by s.performed_at, s.prediction_config_id, s.model_id
