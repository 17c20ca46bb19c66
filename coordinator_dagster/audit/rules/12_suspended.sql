-- rule: 12
-- asset: predictions
-- title: suspended without as many failures in a row as it says, outside the time it says, or beyond its window
-- How many it takes is a setting; what a suspension says of itself must be so. Failures are counted within a window, by
-- instants that count (neither an absence nor a fault of ours), since the last answer, suspension or new deployment.
with suspended as (
    select f.model_id, f.prediction_config_id, f.performed_at, f.deployment, c.window_start,
           f.meta_jsonb->'suspension'->>'kind' as kind, (f.meta_jsonb->'suspension'->>'instants')::int as instants,
           (f.meta_jsonb->'suspension'->>'since')::timestamptz as since,
           (f.meta_jsonb->'suspension'->>'until')::timestamptz as until
    from forecasts f
    join cycles c on c.performed_at = f.performed_at and c.prediction_config_id = f.prediction_config_id
    where f.performed_at >= :start and f.performed_at < :end and f.status = 'SUSPENDED'
), instants as (
    select f.model_id, c.window_start, f.performed_at, max(f.deployment) as deployment,
           bool_and(f.status in ('FAILED', 'TIMEOUT')) as failed,
           bool_and(f.status in ('FAILED', 'TIMEOUT')) and bool_or(f.status = 'TIMEOUT') as timed_out
    from (select distinct model_id, window_start from suspended) s
    join cycles c on c.window_start = s.window_start
    join forecasts f on f.model_id = s.model_id and f.performed_at = c.performed_at
         and f.prediction_config_id = c.prediction_config_id
    where f.performed_at >= :start - interval '24 hours' and f.performed_at < :end  -- its window began before :start
      and f.status in ('SUCCESS', 'LATE', 'FAILED', 'TIMEOUT', 'SUSPENDED')
    group by 1, 2, 3
), changes as (
    select *, deployment is distinct from lag(deployment) over (
        partition by model_id, window_start order by performed_at) as other
    from instants
), rows as (
    select *, count(*) filter (where other or not failed) over w as failed_row,
           count(*) filter (where other or not timed_out) over w as timed_out_row
    from changes window w as (partition by model_id, window_start order by performed_at)
), counted as (
    select model_id, window_start, performed_at, deployment,
           count(*) filter (where failed) over (
               partition by model_id, window_start, failed_row order by performed_at) as failures,
           count(*) filter (where timed_out) over (
               partition by model_id, window_start, timed_out_row order by performed_at) as timeouts
    from rows
), judged as (
    select s.*, case s.kind when 'TIMEOUT' then r.timeouts when 'FAILED' then r.failures end as in_a_row,
           s.window_start + case k."window" when 'day' then interval '24 hours' else interval '1 hour' end as window_end
    from suspended s
    cross join competition k
    left join counted r on r.model_id = s.model_id and r.window_start = s.window_start and r.performed_at = s.since
         and r.deployment is not distinct from s.deployment
)
select model_id, prediction_config_id, performed_at, since, until, kind, instants, in_a_row,
       case when instants is null or since is null or until is null then 'nothing says what for'
            when performed_at <= since or performed_at >= until then 'outside the time it says'
            when until > window_end then 'beyond its window'
            else 'too few failures in a row' end as problem
from judged
where instants is null or since is null or until is null or performed_at <= since or performed_at >= until
   or until > window_end or instants < 1 or coalesce(in_a_row, 0) < instants
order by performed_at, prediction_config_id, model_id
