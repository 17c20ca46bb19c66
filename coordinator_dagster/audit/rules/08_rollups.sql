-- rule: 8
-- asset: scores
-- title: a rollup is not the sum of its scores
with length as (
    select case "window" when 'day' then interval '24 hours' else interval '1 hour' end as length from competition
), sums as (
    select s.version, s.model_id, s.scope_key,
           date_bin(l.length, s.resolvable_at - interval '1 microsecond', 'epoch') + l.length as window_end,
           count(*) filter (where s.due) as due, count(*) filter (where s.due and s.answered) as answered,
           count(s.score_value) as scored, count(*) filter (where s.status = 'CHARGED') as charged,
           coalesce(sum(s.score_value), 0) as score_sum, coalesce(sum(abs(s.score_value)), 0) as size,
           coalesce(sum(s.score_value * s.score_value), 0) as score_sum_squares
    from scores s, length l
    where s.resolvable_at > :start and s.resolvable_at <= :end
    group by 1, 2, 3, 4
), rollups as (
    select r.* from score_rollups r where r.window_end > :start and r.window_start < :end
)
select version, model_id, scope_key, window_end, r.window_start,
       r.due, r.answered, r.scored, r.charged, r.score_sum, r.score_sum_squares,
       s.due as right_due, s.answered as right_answered, s.scored as right_scored, s.charged as right_charged,
       s.score_sum as right_sum, s.score_sum_squares as right_sum_squares
from sums s
full join rollups r using (version, model_id, scope_key, window_end)
cross join length l
-- the windows that lie wholly in the range
where window_end - l.length >= :start and window_end <= :end
  and ((r.due, r.answered, r.scored, r.charged) is distinct from (s.due, s.answered, s.scored, s.charged)
       or r.window_start <> window_end - l.length
       or not abs(r.score_sum - s.score_sum) <= 1e-9 * s.size
       or not abs(r.score_sum_squares - s.score_sum_squares) <= 1e-9 * s.score_sum_squares)
order by window_end, version, model_id, scope_key
