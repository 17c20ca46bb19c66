-- rule: 12
-- asset: predictions
-- title: windows of the last 24 hours in which our own queues took a tenth of the time that answers have
-- Of every hundred answers one waited that long, for its turn and under way: so near to the deadline it costs answers.
select c.window_start, count(*) as answers,
       round(cast(percentile_cont(0.99) within group (order by f.queued_ms) as numeric), 1) as queued_ms_p99,
       min(extract(epoch from c.answer_by - c.cut_off)) * 1000 as allowed_ms
from forecasts f
join cycles c on c.prediction_config_id = f.prediction_config_id and c.performed_at = f.performed_at
where f.queued_ms is not null and f.performed_at >= :start and f.performed_at < :end
  and f.performed_at > (select max(performed_at) from cycles where status = 'PERFORMED') - interval '24 hours'
group by 1
having percentile_cont(0.99) within group (order by f.queued_ms)
       > 100 * min(extract(epoch from c.answer_by - c.cut_off))
order by 1
