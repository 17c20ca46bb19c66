-- rule: 3
-- asset: market_records
-- title: stretches of the tape that are missing: still asked for, or given up
select provider || '/' || asset || '/' || kind || '/' || granularity as series, gap_start, gap_end, state, reason
from market_gaps
where state in ('open', 'healing', 'GIVEN_UP') and gap_start >= :start and gap_start < :end
order by gap_start
