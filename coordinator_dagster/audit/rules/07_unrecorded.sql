-- rule: 7
-- asset: predictions
-- title: a cycle was due, and nothing says what became of it
-- Every window that was run says so of each of its cycles; live, every window up to the newest, once it is over.
with known as (
    select *, case "window" when 'day' then interval '24 hours' else interval '1 hour' end as length from competition
), terms as (
    select c.id, make_interval(secs => (c.schedule_jsonb->>'every_seconds')::float8) as every,
           greatest(c.active_from, k.start) as since, least(c.active_until, e.ended) as until
    from scheduled_prediction_configs c
    cross join known k
    cross join (select min(effective_at) as ended from operator_orders where kind = 'end') e
    where c.active or c.active_until is not null
), windows as (
    select distinct window_start from cycles where performed_at >= :start and performed_at < :end
    union
    select generate_series(greatest(k.start, date_bin(k.length, :start, 'epoch')), b.newest, k.length)
    from known k, (select max(window_start) as newest from cycles where performed_at < :end) b where k.mode = 'live'
), due as (
    select t.id, d.instant, w.window_start
    from windows w
    cross join known k
    join terms t on t.since < w.window_start + k.length and (t.until is null or t.until > w.window_start)
    cross join lateral generate_series(
        date_bin(t.every, w.window_start, 'epoch'), w.window_start + k.length - interval '1 microsecond', t.every
    ) d(instant)
    where d.instant >= w.window_start and d.instant >= t.since and (t.until is null or d.instant < t.until)
      and (k.mode = 'replay' or w.window_start + k.length + interval '10 minutes' < :now)
)
select d.id as prediction_config_id, d.instant as performed_at, d.window_start
from due d
where d.instant >= :start and d.instant < :end
  and not exists (select from cycles c where c.performed_at = d.instant and c.prediction_config_id = d.id)
order by d.instant, d.id
