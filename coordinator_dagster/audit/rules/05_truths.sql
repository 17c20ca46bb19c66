-- rule: 5
-- asset: ground_truths
-- title: a VOID without a reason, a RESOLVED without content, or a truth of a cycle nobody performed
select g.prediction_config_id, g.performed_at, g.version, g.status, g.reason, c.status as cycle_status,
       case when c.status is null then 'there is no such cycle'
            when c.status <> 'PERFORMED' then 'its cycle was not performed'
            when g.status = 'VOID' then 'VOID without a reason'
            else 'RESOLVED without content' end as problem
from ground_truths g
left join cycles c on c.performed_at = g.performed_at and c.prediction_config_id = g.prediction_config_id
where g.performed_at >= :start and g.performed_at < :end
  and (c.status is distinct from 'PERFORMED'
       or g.status = 'VOID' and coalesce(g.reason, '') !~ '\S'
       or g.status = 'RESOLVED' and jsonb_typeof(g.truth_jsonb) is distinct from 'object')
order by g.performed_at, g.prediction_config_id
