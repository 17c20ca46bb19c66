-- rule: 12
-- asset: leaderboard
-- title: a model is ranked that must not be, or unranked without a reason
with entries as (
    select l.window_start, l.computed_at, l.version, e.entry->>'model_id' as model_id,
           coalesce(e.entry->'rank', 'null') <> 'null' as ranked,
           coalesce(e.entry->>'unranked_reason', '') as reason,
           coalesce(e.entry->'score'->'ranking'->'value', 'null') = 'null' as empty,
           case jsonb_typeof(p.answered) when 'number' then (p.answered #>> '{}')::numeric end as answered,
           case jsonb_typeof(p.coverage) when 'number' then (p.coverage #>> '{}')::numeric end as coverage,
           (v.detail_jsonb->'rules'->>'min_cycles')::numeric as min_cycles,
           (v.detail_jsonb->'rules'->>'min_coverage')::numeric as min_coverage
    from leaderboards l
    join slot_versions v on v.version = l.version
    cross join lateral jsonb_array_elements(
        case jsonb_typeof(l.entries_jsonb) when 'array' then l.entries_jsonb end) e(entry)
    cross join lateral (
        select e.entry->'score'->'payload'->'answered', e.entry->'score'->'payload'->'coverage') p(answered, coverage)
    where l.window_start >= :start and l.window_start < :end
)
select e.window_start, e.computed_at, e.version, e.model_id, e.answered, e.min_cycles, e.coverage, e.min_coverage,
       case when not e.ranked then 'unranked without a reason'
            when x.model_id is not null then x.state || ': ' || x.reason
            when coalesce(e.answered, 0) < greatest(e.min_cycles, 1) then 'it answered too few cycles'
            else 'it answered too few of those due' end as problem
from entries e
left join model_exclusions x on x.model_id = e.model_id and x.since <= e.computed_at
     and (x.until is null or e.computed_at < x.until)
where case when e.ranked
           then x.model_id is not null
                or coalesce(e.answered, 0) < greatest(e.min_cycles, 1)
                or coalesce(e.coverage, 0) < e.min_coverage
           else not e.empty and e.reason !~ '\S' end
order by e.computed_at, e.model_id
