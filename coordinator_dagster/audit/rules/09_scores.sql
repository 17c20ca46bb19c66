-- rule: 9
-- asset: scores
-- title: a score or a sum that is no finite number
-- NaN is not between two numbers: PostgreSQL has it above infinity.
select 'scores' as "table", model_id, prediction_config_id, performed_at as at, version, status, score_value as value,
       score_success
from scores
where performed_at >= :start and performed_at < :end
  and case when status = 'EXEMPT' then score_value is not null or score_success
           else score_value is null or score_value not between -1e300 and 1e300 or not score_success end
union all
select 'score_rollups', model_id, scope_key, window_end, version, null,
       case when score_sum between -1e300 and 1e300 then score_sum_squares else score_sum end, null
from score_rollups
where window_end > :start and window_end <= :end
  and (score_sum not between -1e300 and 1e300
       or score_sum_squares not between 0 and 1.7976931348623157e308
       or least(due, answered, scored, charged) < 0 or answered > due or charged > scored)
order by 4, 1, 2
