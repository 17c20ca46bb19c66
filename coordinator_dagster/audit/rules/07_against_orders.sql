-- rule: 7
-- asset: predictions
-- title: performed in a pause, after the end, or by a model that was out, though the order had been given
-- An order may be given for the past. Wall clocks say whether it had been given: a cycle is stored once it is over.
with levers as (
    select o.id, o.kind, o.effective_at, o.reason, o.given_at,
           case o.kind when 'pause' then
               (select min(r.effective_at) from operator_orders r
                where r.kind in ('pause', 'resume') and (r.effective_at, r.id) > (o.effective_at, o.id))
           end as until
    from operator_orders o
    where o.kind in ('pause', 'end')
), exclusions as (
    select o.id, o.kind, o.model_id, o.effective_at, o.reason, o.given_at,
           lead(o.effective_at) over (partition by o.model_id order by o.effective_at, o.id) as until
    from operator_orders o
    where o.kind in ('disqualify', 'reinstate', 'leave')
)
select c.prediction_config_id, c.performed_at, null as model_id, l.id as order_id, l.kind, l.effective_at, l.given_at,
       c.updated_at as stored_at
from cycles c
join levers l on c.performed_at >= l.effective_at and (l.until is null or c.performed_at < l.until)
where c.performed_at >= :start and c.performed_at < :end and c.status = 'PERFORMED'
  and l.given_at + interval '10 minutes' < c.updated_at
union all
select c.prediction_config_id, c.performed_at, f.model_id, x.id, x.kind, x.effective_at, x.given_at, c.updated_at
from exclusions x
join forecasts f on f.model_id = x.model_id and f.performed_at >= x.effective_at
     and (x.until is null or f.performed_at < x.until)
join cycles c on c.performed_at = f.performed_at and c.prediction_config_id = f.prediction_config_id
where f.performed_at >= :start and f.performed_at < :end
  and x.kind <> 'reinstate'
  and x.given_at + interval '10 minutes' < c.updated_at
order by 2, 1, 3
