-- rule: 12
-- asset: scores
-- title: a charge is not what the pack's rule makes of the cycle's answers
with charged as (
    select s.performed_at, s.prediction_config_id, s.version, s.model_id, s.score_value,
           v.detail_jsonb->'rules' as rules
    from scores s
    join slot_versions v on v.version = s.version
    where s.performed_at >= :start and s.performed_at < :end and s.status = 'CHARGED'
), ruled as (
    select distinct performed_at, prediction_config_id, version, rules->'missing'->>'rule' as rule,
           (rules->'missing'->>'percentile')::numeric / 100 as percentile,
           (rules->>'worst_score')::float8 as worst,
           case rules->>'score_direction' when 'asc' then 1 else -1 end as best_first
    from charged
), due as (
    select r.performed_at, r.prediction_config_id, r.version, r.rule, r.percentile, count(s.score_value) as answers,
           case when r.rule = 'worst' or count(s.score_value) < 3 then r.worst
                else (array_agg(s.score_value order by r.best_first * s.score_value)
                      filter (where s.score_value is not null))[ceil(r.percentile * count(s.score_value))::int]
           end as expected
    from ruled r
    left join scores s on s.performed_at = r.performed_at and s.prediction_config_id = r.prediction_config_id
         and s.version = r.version and s.status = 'SCORED'
    group by r.performed_at, r.prediction_config_id, r.version, r.rule, r.percentile, r.worst, r.best_first
)
select c.model_id, c.prediction_config_id, c.performed_at, c.version, c.score_value as found, d.expected, d.answers,
       d.rule, d.percentile
from charged c
join due d using (performed_at, prediction_config_id, version)
where d.rule = 'skip' or c.score_value is distinct from d.expected
order by c.performed_at, c.prediction_config_id, c.model_id
