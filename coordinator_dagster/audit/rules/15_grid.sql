-- rule: 15
-- asset: market_records
-- title: a tick whose granularity is not 1s, or a candle that does not open on its grid
with records as (
    select provider, asset, kind, granularity, ts_event,
           substring(granularity, '^[1-9][0-9]*')::numeric
               * case right(granularity, 1) when 's' then 1 when 'm' then 60 when 'h' then 3600 when 'd' then 86400 end
           as step
    from market_records
    where ts_event >= :start and ts_event < :end
)
select *
from records
where case kind when 'tick' then granularity <> '1s'
                else step is null or extract(epoch from ts_event) % step <> 0 end
order by provider, asset, kind, granularity, ts_event
