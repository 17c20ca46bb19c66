-- What the operator ordered, what it superseded, and the versions of a config.

-- Every lever is a row here, with its reason; rows are never changed. What holds follows from them.
create table operator_orders (
    id bigint generated always as identity primary key,
    kind text not null check (kind in
        ('end', 'pause', 'resume', 'disqualify', 'reinstate', 'leave', 'void', 'revise', 'correct', 'configs')),
    effective_at timestamptz not null,           -- the instant from which on it holds; correct: the record's ts_event
    until timestamptz,                           -- void, revise: the last instant of the range
    model_id text references models,
    prediction_config_id text references scheduled_prediction_configs,
    reason text not null check (reason <> ''),
    given_by text not null,
    given_at timestamptz not null default now(),
    detail_jsonb jsonb not null default '{}'     -- correct: {"series", "values", "first_values"}
);

-- A config that changes gets a new row; the old one keeps its cycles.
alter table scheduled_prediction_configs
    add column base_id text,                     -- the pack's id, which versions share
    add column series_jsonb jsonb,               -- as the pack listed them
    add column active_from timestamptz,          -- null: from the competition's start
    add column active_until timestamptz;         -- null: it stands
update scheduled_prediction_configs set base_id = id;
alter table scheduled_prediction_configs alter column base_id set not null;
create unique index on scheduled_prediction_configs (base_id) where active_until is null;

alter table cycles add column answer_by timestamptz;   -- answers that arrive later are LATE
alter table forecasts add column deployment text;      -- which code of the model answered
alter table ground_truths
    add column external boolean not null default false,  -- not from our tape
    add column order_id bigint references operator_orders,  -- the void or revise it follows
    add column given_up boolean not null default false;  -- VOID: its data had not come in time; only `revise` asks again

-- Settling a window looks for the truths that fall in it, however long the history.
create index on ground_truths (resolvable_at);
alter table cycles drop constraint cycles_pkey, add primary key (performed_at, prediction_config_id);

-- A silent stretch of ticks: when the venue answered with nothing. Several agreeing answers make it QUIET.
alter table market_gaps add column empty_answers timestamptz[] not null default '{}';

-- What counted before an order: moved here, with what replaced it next to the order's reason.
create table superseded_truths (
    like ground_truths,
    superseded_by bigint not null references operator_orders,
    superseded_at timestamptz not null default now(),
    primary key (performed_at, prediction_config_id, version, superseded_by)
);
create table superseded_scores (
    like scores,
    superseded_by bigint not null references operator_orders,
    superseded_at timestamptz not null default now(),
    primary key (performed_at, prediction_config_id, model_id, version, superseded_by)
);

-- When a model is out: disqualified or gone, until the next order about it.
create view model_exclusions as
select model_id, state, reason, since, until
from (
    select model_id, kind, reason, effective_at as since,
           case kind when 'disqualify' then 'disqualified' when 'leave' then 'LEFT' end as state,
           lead(effective_at) over (partition by model_id order by effective_at, id) as until
    from operator_orders where kind in ('disqualify', 'reinstate', 'leave')
) o
where kind <> 'reinstate';

create view model_states as
select m.id as model_id, coalesce(x.state, 'active') as state, x.reason, x.since
from models m
left join model_exclusions x on x.model_id = m.id and x.until is null;

-- Rule 6, kept by the database: what was forecast and what was ordered does not change.
create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception using message = tg_table_name || ' is append-only: a row of it cannot be changed';
end $$;
create trigger facts before update on forecasts for each row execute function refuse_change();
create trigger facts before update or delete on operator_orders for each row execute function refuse_change();
