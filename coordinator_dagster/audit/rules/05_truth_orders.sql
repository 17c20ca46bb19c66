-- rule: 5
-- asset: ground_truths
-- title: a truth does not follow the newest order about its cycle, or names one that is not about it
with followed as (
    select g.prediction_config_id, g.performed_at, g.version, g.status, g.order_id,
           (select max(o.id) from operator_orders o
            where o.kind in ('void', 'revise')
              and (o.prediction_config_id is null or o.prediction_config_id = g.prediction_config_id)
              and g.performed_at >= o.effective_at and g.performed_at <= coalesce(o.until, o.effective_at)
           ) as newest_order
    from ground_truths g
    where g.performed_at >= :start and g.performed_at < :end
      and (g.order_id is not null or exists (select from operator_orders where kind in ('void', 'revise')))
)
select f.*, o.kind as newest_kind
from followed f
left join operator_orders o on o.id = f.newest_order
where f.order_id is distinct from f.newest_order or o.kind = 'void' and f.status <> 'VOID'
order by f.performed_at, f.prediction_config_id
