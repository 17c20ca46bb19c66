-- rule: 13
-- asset: leaderboard
-- title: ranks or order of a board do not follow from its ranking values
with entries as (
    select l.id, l.window_start, l.version, e.place, e.entry->>'model_id' as model_id, e.entry->'rank' as rank,
           coalesce(e.entry->'rank', 'null') <> 'null' as ranked,
           case jsonb_typeof(r.ranking->'value') when 'number' then (r.ranking->>'value')::numeric end as value,
           case r.ranking->>'direction' when 'asc' then 1 else -1 end as best_first
    from leaderboards l
    cross join lateral jsonb_array_elements(
        case jsonb_typeof(l.entries_jsonb) when 'array' then l.entries_jsonb end) with ordinality e(entry, place)
    cross join lateral (select e.entry->'score'->'ranking') r(ranking)
    where l.window_start >= :start and l.window_start < :end
), placed as (
    select *,
           rank() over (partition by id order by value * best_first) as right_rank,
           row_number() over (partition by id order by value * best_first, model_id collate "C") as right_place
    from entries
    where ranked
)
select window_start, version, model_id, value, rank::text, right_rank, place, right_place,
       case when value is null then 'no value, but a rank'
            when rank is distinct from to_jsonb(right_rank) then 'another rank than its value''s'
            else 'listed at another place than its rank''s' end as problem
from placed
where value is null or rank is distinct from to_jsonb(right_rank) or place <> right_place
order by window_start, version, place
