-- What the feeds met, and when a gap is asked for again.

alter table market_gaps
    add column attempts integer not null default 0,      -- how often it has been asked for again
    add column next_try_at timestamptz;                  -- when it is next; null: at the next look
create index on market_gaps (next_try_at) where state in ('open', 'healing');

-- Records that were not simply new: how many of each fate, and the last of them.
create table market_fates (
    provider text not null,
    asset text not null,
    kind text not null,
    granularity text not null,
    fate text not null check (fate in
        ('duplicate', 'restated', 'late', 'disordered', 'future', 'non_finite', 'not_positive')),
    count bigint not null,
    last_detail text not null,
    last_at timestamptz not null default now(),
    primary key (provider, asset, kind, granularity, fate)
);
