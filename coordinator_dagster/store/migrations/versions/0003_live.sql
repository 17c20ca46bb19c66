-- What a live run measures and freezes.

alter table cycles
    add column dispatched_at timestamptz,        -- live: when the last call had been sent
    add column stored_at timestamptz;            -- live: when the forecasts were committed; noted a little later

-- A day's board is frozen once.
alter table emission_checkpoints add unique (checkpoint_id, emitted_at);
create trigger facts before update or delete on emission_checkpoints for each row execute function refuse_change();

-- A replay of a live competition: when its inputs were cut off there.
create table cut_offs (
    performed_at timestamptz primary key,
    cut_off timestamptz not null
);
