-- rule: 9
-- asset: market_records
-- title: a record whose values are not the positive finite numbers of its kind
-- Strict paths: a text, a boolean, a list or a missing name is no number.
with valued as (
    select 'market_records' as "table", provider || '/' || asset || '/' || kind || '/' || granularity as series, kind,
           ts_event, values_jsonb
    from market_records
    where ts_event >= :start and ts_event < :end
    union all
    select 'operator_orders', detail_jsonb->>'series', split_part(detail_jsonb->>'series', '/', 3), effective_at,
           detail_jsonb->'values'
    from operator_orders
    where kind = 'correct'
)
select "table", series, ts_event, left(values_jsonb::text, 300) as "values"
from valued
where not coalesce(case kind
    when 'tick' then values_jsonb @@ 'strict $.price > 0 && $.price < 1e300'
    else values_jsonb @@ 'strict $.open > 0 && $.high > 0 && $.low > 0 && $.close > 0 && $.volume >= 0
                          && $.open < 1e300 && $.high < 1e300 && $.low < 1e300 && $.close < 1e300 && $.volume < 1e300'
    end, false)
order by ts_event, series
