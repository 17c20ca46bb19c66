-- rule: 1
-- asset: market_records
-- title: a record known before its event was over, or whose event does not last what its granularity says
with records as (
    select provider, asset, kind, granularity, ts_event, event_end, known_at,
           ts_event + case when kind = 'tick' then interval '0' else
               substring(granularity, '^[0-9]+')::float8 * case right(granularity, 1)
                   when 's' then interval '1 second' when 'm' then interval '1 minute'
                   when 'h' then interval '1 hour' when 'd' then interval '24 hours' end
           end as right_end
    from market_records
    where ts_event >= :start and ts_event < :end
)
select *
from records
where known_at < event_end or event_end is distinct from right_end
order by provider, asset, kind, granularity, ts_event
