-- rule: 8
-- asset: leaderboard
-- title: a board is final though a cycle of its look-back has not ended
with versions as (
    select version, detail_jsonb->>'truth_version' as truth_version,
           make_interval(hours => (detail_jsonb->'rules'->>'look_back_hours')::int) as look_back
    from slot_versions
), unscored as materialized (
    select v.version, f.prediction_config_id, f.performed_at, count(*) as forecasts
    from versions v
    cross join forecasts f
    where f.performed_at >= :start and f.performed_at < :end
      and not exists (
          select from scores s
          where s.performed_at = f.performed_at and s.prediction_config_id = f.prediction_config_id
            and s.model_id = f.model_id and s.version = v.version)
    group by v.version, f.prediction_config_id, f.performed_at
), unended as materialized (
    select v.version, v.look_back, c.prediction_config_id, c.performed_at, c.resolvable_at,
           case when c.status <> 'PERFORMED' then 'it has not been performed'
                when g.status is null then 'it has no truth'
                else 'a forecast of it has no score' end as problem
    from versions v
    cross join cycles c
    left join ground_truths g on g.performed_at = c.performed_at and g.prediction_config_id = c.prediction_config_id
         and g.version = v.truth_version
    left join unscored u on u.performed_at = c.performed_at and u.prediction_config_id = c.prediction_config_id
         and u.version = v.version
    where c.performed_at >= :start and c.performed_at < :end and c.status <> 'MISSED'
      and (c.status <> 'PERFORMED' or g.status is null or u.forecasts > 0)
)
select l.window_start, l.computed_at, l.version, u.prediction_config_id, u.performed_at, u.resolvable_at, u.problem
from unended u
join leaderboards l on l.version = u.version and l.final
     and u.resolvable_at > l.computed_at - u.look_back and u.resolvable_at <= l.computed_at
order by l.computed_at, u.performed_at, u.prediction_config_id
