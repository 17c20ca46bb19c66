-- A row for each backup, written before it is taken: the newest one in a backup's tables is its own.
create table backups (
    id bigint generated always as identity primary key,
    taken_at timestamptz not null,        -- by the competition's clock
    release text not null,                -- of the coordinator that took it
    cycles_through timestamptz,           -- the last instant whose cycles had ended
    finished_at timestamptz,              -- null: it was not finished, or these tables are what was restored of it
    bytes bigint,
    restored_at timestamptz               -- these tables are this backup's, brought back then
);
