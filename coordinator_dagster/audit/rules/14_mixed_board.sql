-- rule: 14
-- asset: leaderboard
-- title: the board shown looks back on scores that are there in another version only
with shown as (
    select l.version, l.window_start, l.computed_at,
           make_interval(hours => (v.detail_jsonb->'rules'->>'look_back_hours')::int) as look_back
    from slot_versions v
    join leaderboards l on l.version = v.version
    where v.current
    order by l.computed_at desc
    limit 1
)
select b.window_start, b.computed_at, b.version, s.version as scored_in, s.model_id, s.prediction_config_id,
       s.performed_at, s.resolvable_at
from shown b
join scores s on s.version <> b.version and s.resolvable_at > b.computed_at - b.look_back
     and s.resolvable_at <= b.computed_at
where s.performed_at >= :start and s.performed_at < :end
  and not exists (
      select from scores own
      where own.performed_at = s.performed_at and own.prediction_config_id = s.prediction_config_id
        and own.model_id = s.model_id and own.version = b.version)
order by s.performed_at, s.prediction_config_id, s.model_id
