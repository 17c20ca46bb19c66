-- rule: 1
-- asset: predictions
-- title: a performed cycle without its input, or a cut-off that is not the input's
select null as prediction_config_id, performed_at, cut_off, null::timestamptz as cycle_cut_off,
       'the cut-off is before the instant' as problem
from inference_inputs
where performed_at >= :start and performed_at < :end and cut_off < performed_at
union all
select c.prediction_config_id, c.performed_at, i.cut_off, c.cut_off,
       case when i.performed_at is null then 'it was performed without an input'
            when c.cut_off is distinct from i.cut_off then 'the cut-off is not the input''s'
            else 'it has no answer_by' end
from cycles c
left join inference_inputs i on i.performed_at = c.performed_at
where c.performed_at >= :start and c.performed_at < :end and c.status = 'PERFORMED'
  and (c.cut_off is distinct from i.cut_off or i.performed_at is null or c.answer_by is null)
order by 2, 1
