-- Nobody writes records while they are counted: what was under way would never be in the count.
lock table market_records in share row exclusive mode;

-- How many records of each series are on the tape: counting them would cost more with each of them.
create table market_record_counts (
    provider text not null,
    asset text not null,
    kind text not null,
    granularity text not null,
    record_count bigint not null,
    primary key (provider, asset, kind, granularity)
);
insert into market_record_counts
select provider, asset, kind, granularity, count(*) from market_records group by 1, 2, 3, 4;

-- Once a statement, however many records it adds. A month that leaves the tape is taken off by who lets it go.
create function count_records() returns trigger language plpgsql set search_path from current as $$
begin
    insert into market_record_counts as c (provider, asset, kind, granularity, record_count)
    select provider, asset, kind, granularity, count(*) from added group by 1, 2, 3, 4 order by 1, 2, 3, 4
    on conflict (provider, asset, kind, granularity) do update set record_count = c.record_count + excluded.record_count;
    return null;
end $$;
create trigger counts after insert on market_records
    referencing new table as added for each statement execute function count_records();

-- For who looks at the newest: cycles that were MISSED, and gaps that have ended, pile up.
create index on cycles (performed_at) where status = 'PERFORMED';
create index on market_gaps (gap_end) where state in ('QUIET', 'GIVEN_UP');
