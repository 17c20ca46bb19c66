-- The canonical tables of one competition, all in its own schema (the search_path says which).
-- The same tables serve every competition: typed columns for what the protocol queries, JSONB for what a
-- competition invents. Facts are append-only; `predictions` is a view over forecasts and their scores.

create table competition (
    id integer primary key default 1 check (id = 1),
    mode text not null check (mode in ('live', 'replay')),
    start timestamptz not null,
    "window" text not null check ("window" in ('hour', 'day'))
);

create table models (
    id text primary key,
    name text not null,
    deployment_identifier text not null,
    player_id text not null,
    player_name text not null,
    overall_score_jsonb jsonb,
    scores_by_scope_jsonb jsonb not null default '[]',
    meta_jsonb jsonb not null default '{}',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    joined_at timestamptz                        -- its first cycle; before that it owes nothing
);

create table scheduled_prediction_configs (
    id text primary key,
    scope_key text not null,
    scope_template_jsonb jsonb not null,
    schedule_jsonb jsonb not null,
    active boolean not null default true,
    "order" integer not null default 0,
    meta_jsonb jsonb not null default '{}'
);

-- The tape -----------------------------------------------------------------------------------------------

create sequence market_records_id_seq;
create table market_records (
    id bigint not null default nextval('market_records_id_seq'),
    provider text not null,
    asset text not null,
    kind text not null check (kind in ('tick', 'candle')),
    granularity text not null,
    ts_event timestamptz not null,               -- a candle's open time, a tick's trade time
    event_end timestamptz not null,              -- when the event was over
    known_at timestamptz not null,               -- when it was final and readable on the tape
    ts_ingested timestamptz not null default now(),
    values_jsonb jsonb not null,
    meta_jsonb jsonb not null default '{}',
    unique (provider, asset, kind, granularity, ts_event)
) partition by range (ts_event);
alter sequence market_records_id_seq owned by market_records.id;

create table market_ingestion_state (
    id bigint generated always as identity primary key,
    provider text not null,
    asset text not null,
    kind text not null,
    granularity text not null,
    last_event_ts timestamptz,
    complete_through timestamptz,                -- nothing at or before it is still to come
    updated_at timestamptz not null default now(),
    meta_jsonb jsonb not null default '{}',      -- {"covered": [[from, to], ...]}: ranges asked and answered
    unique (provider, asset, kind, granularity)
);

create table market_gaps (
    id bigint generated always as identity primary key,
    provider text not null,
    asset text not null,
    kind text not null,
    granularity text not null,
    gap_start timestamptz not null,              -- first missing ts_event
    gap_end timestamptz not null,                -- end of the last missing event
    state text not null check (state in ('open', 'healing', 'CLOSED', 'QUIET', 'GIVEN_UP')),
    reason text not null,
    seen_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    unique (provider, asset, kind, granularity, gap_start)
);

create table market_restatements (
    id bigint generated always as identity primary key,
    provider text not null,
    asset text not null,
    kind text not null,
    granularity text not null,
    ts_event timestamptz not null,
    values_jsonb jsonb not null,                 -- what the venue says now; market_records keeps the first
    first_values_jsonb jsonb not null,
    seen_at timestamptz not null default now(),
    unique (provider, asset, kind, granularity, ts_event, values_jsonb)
);

-- Cycles and forecasts -----------------------------------------------------------------------------------

create table inference_inputs (
    performed_at timestamptz primary key,        -- the instant
    cut_off timestamptz not null,                -- what had arrived by then was used
    payload_jsonb jsonb not null,
    meta_jsonb jsonb not null default '{}',
    created_at timestamptz not null default now()
);

create table cycles (
    prediction_config_id text not null references scheduled_prediction_configs,
    performed_at timestamptz not null,
    resolvable_at timestamptz not null,
    window_start timestamptz not null,
    status text not null check (status in ('planned', 'running', 'PERFORMED', 'MISSED')),
    reason text,
    cut_off timestamptz,
    scope_key text,
    scope_jsonb jsonb,
    meta_jsonb jsonb not null default '{}',
    updated_at timestamptz not null default now(),
    primary key (prediction_config_id, performed_at)
);
create index on cycles (window_start);
create index on cycles (resolvable_at);

create sequence forecasts_id_seq;
create table forecasts (
    id bigint not null default nextval('forecasts_id_seq'),
    model_id text not null references models,
    prediction_config_id text not null references scheduled_prediction_configs,
    scope_key text not null,
    scope_jsonb jsonb not null,
    status text not null check (status in
        ('SUCCESS', 'FAILED', 'TIMEOUT', 'LATE', 'ABSENT', 'SUSPENDED', 'PLATFORM_FAULT')),
    exec_time_ms double precision,
    inference_output_jsonb jsonb,
    meta_jsonb jsonb not null default '{}',      -- {"reason", "raw"}: why it failed, what could not be JSON
    performed_at timestamptz not null,
    resolvable_at timestamptz not null,
    asked_at timestamptz,
    answered_at timestamptz,
    primary key (performed_at, prediction_config_id, model_id)
) partition by range (performed_at);
alter sequence forecasts_id_seq owned by forecasts.id;

-- Settling: truth, scores, boards ------------------------------------------------------------------------

create table ground_truths (
    prediction_config_id text not null references scheduled_prediction_configs,
    performed_at timestamptz not null,
    version text not null,
    resolvable_at timestamptz not null,
    status text not null check (status in ('RESOLVED', 'VOID')),
    reason text,
    truth_jsonb jsonb,
    resolved_at timestamptz not null default now(),
    primary key (performed_at, prediction_config_id, version)
);

create table scores (
    model_id text not null references models,
    prediction_config_id text not null references scheduled_prediction_configs,
    scope_key text not null,
    performed_at timestamptz not null,
    resolvable_at timestamptz not null,
    version text not null,
    status text not null check (status in ('SCORED', 'CHARGED', 'EXEMPT')),
    score_value double precision check (score_value between -1e300 and 1e300),
    score_success boolean not null,
    score_failed_reason text,
    due boolean not null,                        -- it had to be answered: not VOID, not our fault
    answered boolean not null,                   -- it was: status SUCCESS
    score_scored_at timestamptz not null default now(),
    primary key (performed_at, prediction_config_id, model_id, version)
) partition by range (performed_at);
create index on scores (resolvable_at);

create table score_rollups (
    version text not null,
    window_end timestamptz not null,             -- of the window (start, end] that holds resolvable_at
    model_id text not null references models,
    scope_key text not null,
    window_start timestamptz not null,
    due integer not null,                        -- cycles the model had to answer
    answered integer not null,
    scored integer not null,                     -- values in the sums: SCORED and CHARGED
    charged integer not null,
    score_sum double precision not null,
    score_sum_squares double precision not null,
    primary key (version, window_end, model_id, scope_key)
);

create table model_scores (
    id bigint generated always as identity primary key,
    model_id text not null references models,
    score_payload_jsonb jsonb not null,
    computed_at timestamptz not null,            -- the board's `now`: the end of its window
    window_start timestamptz not null,
    version text not null,
    unique (window_start, version, model_id)
);

create table leaderboards (
    id bigint generated always as identity primary key,
    created_at timestamptz not null default now(),
    entries_jsonb jsonb not null,
    meta_jsonb jsonb not null default '{}',
    window_start timestamptz not null,
    computed_at timestamptz not null,            -- the board's `now`: the end of its window
    final boolean not null,
    version text not null,
    unique (window_start, version)
);

create table slot_versions (
    version text primary key,
    detail_jsonb jsonb not null,
    current boolean not null default false,
    first_used_at timestamptz not null default now()
);
create unique index on slot_versions (current) where current;

create table report_schemas (
    id integer primary key default 1 check (id = 1),
    schema_jsonb jsonb not null,
    updated_at timestamptz not null default now()
);

-- Rewards, leases, keys ----------------------------------------------------------------------------------

create table checkpoints (
    id bigint generated always as identity primary key,
    checkpoint_kind text not null unique,
    interval_seconds integer not null,
    last_run_at timestamptz,
    next_run_at timestamptz,
    meta_jsonb jsonb not null default '{}'
);

create table emission_checkpoints (
    id bigint generated always as identity primary key,
    checkpoint_id bigint not null references checkpoints,
    emitted_at timestamptz not null,
    payload_jsonb jsonb not null
);

create table leases (
    name text primary key,
    holder text not null,
    acquired_at timestamptz not null,
    renewed_at timestamptz not null,
    expires_at timestamptz not null,
    meta_jsonb jsonb not null default '{}'
);

create table api_keys (
    id bigint generated always as identity primary key,
    name text not null unique,
    role text not null check (role in ('operator', 'participant')),
    player_id text,
    key_hash bytea not null,
    created_at timestamptz not null default now(),
    revoked_at timestamptz,
    check (role = 'operator' or player_id is not null)
);

-- What a reader of SQL sees: one row per forecast, with its score in the current version.
create view predictions as
select f.id, f.model_id, f.prediction_config_id, f.scope_key, f.scope_jsonb, f.status, f.exec_time_ms,
       jsonb_build_object('inference_inputs.performed_at', f.performed_at) as inference_input_jsonb,
       f.inference_output_jsonb, f.meta_jsonb, f.performed_at, f.resolvable_at,
       s.score_value, s.score_success, s.score_failed_reason, s.score_scored_at,
       f.asked_at, f.answered_at, s.status as score_status, s.version as score_version
from forecasts f
left join scores s
       on s.performed_at = f.performed_at and s.prediction_config_id = f.prediction_config_id
      and s.model_id = f.model_id
      and s.version = (select version from slot_versions where current);
