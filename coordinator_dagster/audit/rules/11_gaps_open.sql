-- rule: 11
-- asset: market_records
-- title: a gap is still open a day after it ended
select provider, asset, kind, granularity, gap_start, gap_end, state, reason, gap_end + interval '24 hours' as deadline
from market_gaps
where state in ('open', 'healing') and gap_end + interval '24 hours 10 minutes' < :now
  and gap_end > :start and gap_start < :end
order by provider, asset, kind, granularity, gap_start
