"""A long history of a settled competition, written by SQL in seconds instead of predicted for weeks."""

from datetime import datetime

from sqlalchemy import text

from coordinator_dagster.runners.base import ModelInfo
from coordinator_dagster.runtime import Runtime

CYCLES = """
insert into cycles (prediction_config_id, performed_at, resolvable_at, window_start, status, cut_off, scope_key,
                    scope_jsonb)
select k.id, t, t + interval '60 s', date_trunc('hour', t), 'PERFORMED', t + interval '1 s', k.scope_key,
       k.scope_template_jsonb
from scheduled_prediction_configs k,
     generate_series(cast(:start as timestamptz), cast(:end as timestamptz) - interval '60 s', '60 s') t
"""

FORECASTS = """
insert into forecasts (model_id, prediction_config_id, scope_key, scope_jsonb, status, exec_time_ms,
                       inference_output_jsonb, performed_at, resolvable_at, asked_at, answered_at)
select m.id, c.prediction_config_id, c.scope_key, c.scope_jsonb, 'SUCCESS', 1.5,
       jsonb_build_object('value', (random() - 0.5) / 1000), c.performed_at, c.resolvable_at, c.cut_off,
       c.cut_off + interval '2 ms'
from cycles c cross join models m order by c.performed_at, m.id
"""

TRUTHS = """
insert into ground_truths (prediction_config_id, performed_at, version, resolvable_at, status, truth_jsonb)
select prediction_config_id, performed_at, :truth_version, resolvable_at, 'RESOLVED',
       jsonb_build_object('asset', 'BTC', 'entry_price', 30000.12, 'resolved_price', 30000.12, 'return', 0.0,
                          'y_up', false, 'source', 'simulated', 'resolved_market_time', resolvable_at)
from cycles where performed_at < :settled
"""

SCORES = """
insert into scores (model_id, prediction_config_id, scope_key, performed_at, resolvable_at, version, status,
                    score_value, score_success, due, answered)
select model_id, prediction_config_id, scope_key, performed_at, resolvable_at, :version, 'SCORED',
       -abs(cast(inference_output_jsonb->>'value' as double precision)) * 10000, true, true, true
from forecasts where performed_at < :settled order by performed_at, model_id
"""

ROLLUPS = """
insert into score_rollups (version, window_end, model_id, scope_key, window_start, due, answered, scored, charged,
                           score_sum, score_sum_squares)
select :version, date_trunc('hour', performed_at) + interval '1 hour', model_id, scope_key,
       date_trunc('hour', performed_at), count(*), count(*), count(*), 0, sum(score_value), sum(score_value ^ 2)
from scores group by model_id, scope_key, date_trunc('hour', performed_at)
"""

MODEL_SCORES = """
insert into model_scores (model_id, score_payload_jsonb, computed_at, window_start, version)
select model_id, jsonb_build_object(
           'model_id', model_id, 'model_name', model_id, 'cruncher_name', model_id,
           'score', jsonb_build_object(
               'metrics', jsonb_build_object('anchor', mean, 'recent', mean, 'steady', mean),
               'ranking', jsonb_build_object('key', 'anchor', 'value', mean, 'direction', 'desc'),
               'payload', jsonb_build_object('due', due, 'answered', answered, 'coverage', 1.0))),
       window_end, window_start, version
from (select *, score_sum / scored as mean from score_rollups) r order by window_end, model_id
"""

LEADERBOARDS = """
insert into leaderboards (entries_jsonb, window_start, computed_at, final, version)
select jsonb_agg(score_payload_jsonb || '{"rank": 1}' order by model_id), window_start, computed_at, true, version
from model_scores group by window_start, computed_at, version order by window_start
"""

SHOWN = "insert into slot_versions (version, detail_jsonb, current) values (:version, '{}', true)"


def write_history(runtime: Runtime, settled: datetime, end: datetime, models: int) -> None:
    """From the competition's start: forecasts and records until `end`, settled until `settled`.

    Inputs are left out (a hundred candles an instant): settling reads none.
    """
    start, store = runtime.competition.start, runtime.store
    names = [f"model-{number:02}" for number in range(models)]
    store.cycles.sync_models([ModelInfo(name, name, name, name, name) for name in names])
    runtime.ingest(runtime.competition.windows.between(start, end))
    for table in ("forecasts", "scores"):
        store.database.ensure_months(table, start, end)
    with store.database.transaction() as connection:
        # Foreign keys are not checked row by row: these rows are made from what they refer to.
        connection.execute(text("set local session_replication_role = replica"))
        connection.execute(text("update models set joined_at = :start"), {"start": start})
        values = {
            "start": start,
            "settled": settled,
            "end": end,
            "truth_version": runtime.competition.truth_version(),
            "version": runtime.competition.score_version(),
        }
        for statement in (CYCLES, FORECASTS, TRUTHS, SCORES, ROLLUPS, MODEL_SCORES, LEADERBOARDS, SHOWN):
            connection.execute(text(statement), values)
    _vacuum(runtime)


def _vacuum(runtime: Runtime) -> None:
    """What autovacuum does in time: it takes tables and single partitions, never a partitioned table."""
    database = runtime.store.database
    tables = database.read(
        "select relname from pg_class where relkind = 'r' and relnamespace = to_regnamespace(:schema)",
        schema=database.schema,
    )
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for table in tables:
            connection.execute(text(f"vacuum analyze {table.relname}"))
