-- rule: 9
-- asset: scores
-- title: answers that the scoring slot failed on, by window, with what it said of the first
select c.window_start, s.status, count(*) as answers, min(s.score_failed_reason) as reason
from scores s
join cycles c on c.prediction_config_id = s.prediction_config_id and c.performed_at = s.performed_at
where s.score_failed_reason like '%SCORING_FUNCTION%' and s.performed_at >= :start and s.performed_at < :end
group by 1, 2
order by 1, 2
