-- rule: 3
-- asset: market_records
-- title: stretches of the tape that are missing: still asked for, or given up
select provider || '/' || asset || '/' || kind || '/' || granularity as series, gap_start, gap_end, state, reason
from market_gaps
where state in ('open', 'healing', 'GIVEN_UP') and gap_start >= :start and gap_start < :end
union all
-- between two ranges that were answered lies one that was never asked for
select provider || '/' || asset || '/' || kind || '/' || granularity, earlier_end, range_start, 'unasked',
       'materialize market_records there, or run coordinator backfill'
from (
    select s.*, (r.range->>0)::timestamptz as range_start,
           lag((r.range->>1)::timestamptz) over (partition by s.id order by r.number) as earlier_end
    from market_ingestion_state s
    cross join lateral jsonb_array_elements(s.meta_jsonb->'covered') with ordinality as r(range, number)
) answered
where earlier_end >= :start and earlier_end < :end
order by gap_start
