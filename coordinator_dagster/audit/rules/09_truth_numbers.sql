-- rule: 9
-- asset: ground_truths
-- title: a price or a return of a truth that is no number
select g.prediction_config_id, g.performed_at, g.version, p.name, left(p.value::text, 80) as value
from ground_truths g
cross join lateral (values
    ('entry_price', g.truth_jsonb->'entry_price', 0),
    ('resolved_price', g.truth_jsonb->'resolved_price', 0),
    ('return', g.truth_jsonb->'return', -1)) p(name, value, above)
where g.performed_at >= :start and g.performed_at < :end and g.status = 'RESOLVED'
  and case jsonb_typeof(p.value)
          when 'number' then not (p.value > to_jsonb(p.above) and p.value < '1e300')
          else p.value is not null end
order by g.performed_at, g.prediction_config_id, p.name
