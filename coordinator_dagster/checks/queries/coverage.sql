-- rule: 12
-- asset: leaderboard
-- title: models that the newest board lists unranked, with what they answered
select l.window_start, e->>'model_id' as model_id, (e->'score'->'payload'->>'due')::int as due,
       (e->'score'->'payload'->>'answered')::int as answered, e->>'unranked_reason' as reason
from leaderboards l
join slot_versions v on v.version = l.version and v.current
cross join lateral jsonb_array_elements(l.entries_jsonb) e
where e->>'unranked_reason' is not null and l.window_start >= :start and l.window_start < :end
  and l.window_start = (select max(window_start) from leaderboards where version = l.version)
order by 2
