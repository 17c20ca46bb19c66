-- rule: 15
-- asset: market_records
-- title: a record is not the one that was first known
select r.provider, r.asset, r.kind, r.granularity, r.ts_event, r.values_jsonb::text as found,
       s.first_values_jsonb::text as first, s.values_jsonb::text as restated, s.seen_at
from market_restatements s
join market_records r on r.provider = s.provider and r.asset = s.asset and r.kind = s.kind
     and r.granularity = s.granularity and r.ts_event = s.ts_event
where r.ts_event >= :start and r.ts_event < :end and r.values_jsonb <> s.first_values_jsonb
order by r.provider, r.asset, r.kind, r.granularity, r.ts_event, s.id
