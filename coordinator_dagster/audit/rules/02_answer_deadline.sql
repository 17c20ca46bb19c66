-- rule: 2
-- asset: predictions
-- title: a cycle allows less than no time to answer, or more than a tenth of its horizon
select prediction_config_id, performed_at, cut_off, answer_by, answer_by - cut_off as allowed,
       (resolvable_at - performed_at) / 10 as at_most
from cycles
where performed_at >= :start and performed_at < :end and status = 'PERFORMED'
  and (answer_by < cut_off or answer_by - cut_off > (resolvable_at - performed_at) / 10)
order by performed_at, prediction_config_id
