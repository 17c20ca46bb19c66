-- What of the tape is kept as Parquet, and what of it has left the database by age.

-- A file: one series' records of one UTC day (by ts_event), as they stood when it was written.
create table tape_archives (
    provider text not null,
    asset text not null,
    kind text not null,
    granularity text not null,
    day date not null,
    path text not null,                          -- below the competition's archive folder
    row_count bigint not null,                   -- records are only added: another count makes the file stale
    bytes bigint not null,
    sha256 text not null,
    complete boolean not null,                   -- the series was complete through the day's end
    archived_at timestamptz not null default now(),
    primary key (day, provider, asset, kind, granularity)
);

-- A month of market_records that was dropped, once all of it was archived.
create table tape_expiry (
    month_start timestamptz primary key,
    month_end timestamptz not null,              -- every record with an earlier ts_event has left
    row_count bigint not null,
    cycles_from timestamptz not null,            -- cycles performed before may lack records: no truth is found anew
    expired_at timestamptz not null default now()
);

-- One row: from when on the tape is kept, and which cycles may lack nothing; nulls while nothing has expired.
create view tape_expired as select max(month_end) as through, max(cycles_from) as cycles_from from tape_expiry;
