-- rule: 14
-- asset: scores
-- title: a score without a truth in its truth version, or a value for a VOID cycle
select s.model_id, s.prediction_config_id, s.performed_at, s.version, s.status as score_status,
       v.detail_jsonb->>'truth_version' as truth_version, g.status as truth_status
from scores s
join slot_versions v on v.version = s.version
left join ground_truths g on g.performed_at = s.performed_at and g.prediction_config_id = s.prediction_config_id
     and g.version = v.detail_jsonb->>'truth_version'
where s.performed_at >= :start and s.performed_at < :end
  and (g.status is null or g.status = 'VOID' and s.status <> 'EXEMPT')
order by s.performed_at, s.prediction_config_id, s.model_id
