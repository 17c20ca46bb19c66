-- rule: 9
-- asset: model_scores
-- title: a metric or a ranking value that is neither a finite number nor empty
with scored as (
    select 'model_scores' as "table", computed_at, model_id, version, score_payload_jsonb->'score' as score
    from model_scores
    where window_start >= :start and window_start < :end
    union all
    select 'leaderboards', l.computed_at, e.entry->>'model_id', l.version, e.entry->'score'
    from leaderboards l,
         jsonb_array_elements(case jsonb_typeof(l.entries_jsonb) when 'array' then l.entries_jsonb end) e(entry)
    where l.window_start >= :start and l.window_start < :end
    union all
    select 'models', null, id, null, overall_score_jsonb from models where overall_score_jsonb is not null
), numbers as (
    select s."table", s.computed_at, s.model_id, s.version, m.name, m.value
    from scored s,
         jsonb_each(case jsonb_typeof(s.score->'metrics') when 'object' then s.score->'metrics' end) m(name, value)
    union all
    select s."table", s.computed_at, s.model_id, s.version, 'ranking.value', s.score->'ranking'->'value' from scored s
)
select "table", computed_at, model_id, version, name, left(value::text, 80) as value
from numbers
where value is null
   or jsonb_typeof(value) not in ('number', 'null')
   or jsonb_typeof(value) = 'number' and abs((value #>> '{}')::numeric) > 1.7976931348623157e308
order by computed_at, "table", model_id, name
