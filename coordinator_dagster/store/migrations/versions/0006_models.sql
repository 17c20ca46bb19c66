-- Of the time from the instant's dispatch to the answer, what was ours: waiting for its turn and under way.
alter table forecasts add column queued_ms double precision;

create or replace view predictions as
select f.id, f.model_id, f.prediction_config_id, f.scope_key, f.scope_jsonb, f.status, f.exec_time_ms,
       jsonb_build_object('inference_inputs.performed_at', f.performed_at) as inference_input_jsonb,
       f.inference_output_jsonb, f.meta_jsonb, f.performed_at, f.resolvable_at,
       s.score_value, s.score_success, s.score_failed_reason, s.score_scored_at,
       f.asked_at, f.answered_at, s.status as score_status, s.version as score_version, f.queued_ms
from forecasts f
left join scores s
       on s.performed_at = f.performed_at and s.prediction_config_id = f.prediction_config_id
      and s.model_id = f.model_id
      and s.version = (select version from slot_versions where current);
