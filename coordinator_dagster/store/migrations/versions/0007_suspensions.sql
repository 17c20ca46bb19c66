-- A model is active, suspended, disqualified or LEFT. Suspended is who was not asked at the newest instant, until the
-- moment that is stored with its forecasts; no clock is asked.
create or replace view model_states as
select m.id as model_id,
       case when x.state is not null then x.state when s.model_id is not null then 'suspended' else 'active' end
           as state,
       case when x.state is not null then x.reason else s.reason end as reason,
       case when x.state is not null then x.since else s.since end as since,
       case when x.state is null then s.until end as until
from models m
left join model_exclusions x on x.model_id = m.id and x.until is null
left join (
    select distinct on (model_id) model_id, meta_jsonb->>'reason' as reason,
           (meta_jsonb->'suspension'->>'since')::timestamptz as since,
           (meta_jsonb->'suspension'->>'until')::timestamptz as until
    from forecasts
    where status = 'SUSPENDED' and performed_at = (select max(performed_at) from cycles where status = 'PERFORMED')
    order by model_id, prediction_config_id
) s on s.model_id = m.id;
