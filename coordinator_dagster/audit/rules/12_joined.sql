-- rule: 12
-- asset: predictions
-- title: a model answered before it is said to have joined
select m.id as model_id, m.joined_at, min(f.performed_at) as first_forecast
from models m
join forecasts f on f.model_id = m.id
where f.performed_at >= :start and f.performed_at < :end
group by m.id, m.joined_at
having m.joined_at is null or m.joined_at > min(f.performed_at)
order by m.id
