-- rule: 8
-- asset: leaderboard
-- title: a final board counts other cycles than the rollups of its look-back do
select l.window_start, l.computed_at, l.version, e.entry->>'model_id' as model_id,
       e.entry->'score'->'payload'->>'due' as due, e.entry->'score'->'payload'->>'answered' as answered,
       coalesce(r.due, 0) as right_due, coalesce(r.answered, 0) as right_answered
from leaderboards l
join slot_versions v on v.version = l.version
cross join lateral jsonb_array_elements(
    case jsonb_typeof(l.entries_jsonb) when 'array' then l.entries_jsonb end) e(entry)
left join lateral (
    select sum(due) as due, sum(answered) as answered
    from score_rollups
    where version = l.version and model_id = e.entry->>'model_id' and window_end <= l.computed_at
      and window_end > l.computed_at - make_interval(hours => (v.detail_jsonb->'rules'->>'look_back_hours')::int)
) r on true
where l.window_start >= :start and l.window_start < :end and l.final
  and (e.entry->'score'->'payload'->'due' is distinct from to_jsonb(coalesce(r.due, 0))
       or e.entry->'score'->'payload'->'answered' is distinct from to_jsonb(coalesce(r.answered, 0)))
order by l.computed_at, 4
