-- rule: 3
-- asset: market_records
-- title: a live series is said to be complete beyond the present
select provider, asset, kind, granularity, complete_through, cast(:now as timestamptz) as now
from market_ingestion_state
where (select mode from competition) = 'live'
  and complete_through > cast(:now as timestamptz) + interval '10 seconds'  -- the clock goes on while we look
order by provider, asset, kind, granularity
