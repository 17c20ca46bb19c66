-- rule: 5
-- asset: ground_truths
-- title: a truth or a score was superseded without an order that is about it
with old as (
    select 'superseded_truths' as "table", prediction_config_id, performed_at, version, null as model_id,
           resolvable_at, superseded_by
    from superseded_truths
    union all
    select 'superseded_scores', prediction_config_id, performed_at, version, model_id, resolvable_at, superseded_by
    from superseded_scores
)
select old.*, o.kind, o.effective_at, o.until, o.prediction_config_id as order_is_about
from old
left join operator_orders o on o.id = old.superseded_by
where old.performed_at >= :start and old.performed_at < :end
  and case when o.kind in ('void', 'revise')
           then not (coalesce(o.prediction_config_id, old.prediction_config_id) = old.prediction_config_id
                     and old.performed_at >= o.effective_at
                     and old.performed_at <= coalesce(o.until, o.effective_at))
           when o.kind = 'correct' then old.resolvable_at < o.effective_at  -- it cannot rest on that record
           else true end
order by old.performed_at, 1, old.prediction_config_id
