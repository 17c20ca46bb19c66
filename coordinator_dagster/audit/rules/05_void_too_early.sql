-- rule: 5
-- asset: ground_truths
-- title: a live cycle was given up before its data had a day to come
-- A tape that has ended gives up at once, but it is older than that.
select prediction_config_id, performed_at, version, resolvable_at, resolved_at,
       resolvable_at + interval '24 hours' as not_before, reason
from ground_truths
where performed_at >= :start and performed_at < :end
  and (select mode from competition) = 'live'
  and status = 'VOID' and order_id is null
  and resolved_at < resolvable_at + interval '24 hours'
order by performed_at, prediction_config_id
