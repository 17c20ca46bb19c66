-- rule: 2
-- asset: predictions
-- title: an answer that came after its deadline counts, or one in time does not
select f.model_id, f.prediction_config_id, f.performed_at, f.status, f.asked_at, f.answered_at, c.answer_by,
       case when f.asked_at < f.performed_at then 'asked before the instant'
            when f.answered_at < f.asked_at then 'answered before it was asked'
            when f.answered_at is null then 'without answered_at'
            when f.status = 'LATE' then 'LATE, but it came in time'
            when f.answered_at > c.answer_by then 'SUCCESS, but it came after answer_by'
            else 'SUCCESS without an output' end as problem
from forecasts f
join cycles c on c.performed_at = f.performed_at and c.prediction_config_id = f.prediction_config_id
where f.performed_at >= :start and f.performed_at < :end
  and (f.asked_at < f.performed_at
       or f.answered_at < f.asked_at
       or f.status in ('SUCCESS', 'LATE') and f.answered_at is null
       or f.status = 'SUCCESS' and f.answered_at > c.answer_by
       or f.status = 'SUCCESS' and coalesce(jsonb_typeof(f.inference_output_jsonb), 'null') = 'null'
       or f.status = 'LATE' and f.answered_at <= c.answer_by)
order by f.performed_at, f.prediction_config_id, f.model_id
