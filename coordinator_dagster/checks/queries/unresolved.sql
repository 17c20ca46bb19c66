-- rule: 11
-- asset: ground_truths
-- title: cycles whose truth could be known by now and is not there, or that were never run, by window
-- Live, a truth comes with the checkpoint after its data: five minutes are for that.
select c.window_start, c.prediction_config_id, c.status, count(*) as cycles, min(c.performed_at) as first_performed_at,
       max(c.reason) as reason
from cycles c
left join ground_truths g on g.performed_at = c.performed_at and g.prediction_config_id = c.prediction_config_id
where c.status <> 'MISSED' and g.version is null and c.resolvable_at <= cast(:now as timestamptz)
      - case (select mode from competition) when 'live' then interval '5 minutes' else interval '0' end
  and c.performed_at >= :start and c.performed_at < :end
group by 1, 2, 3
order by 1, 2
