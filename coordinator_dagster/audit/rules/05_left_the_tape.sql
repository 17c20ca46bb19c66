-- rule: 5
-- asset: market_records
-- title: a month left the tape that is not archived whole, or records of it are on the tape again
select x.month_start, x.row_count as records, coalesce(sum(a.row_count), 0) as archived,
       'it left the tape, and is not archived whole' as problem
from tape_expiry x
left join tape_archives a on a.day >= cast(x.month_start as date) and a.day < cast(x.month_end as date)
where x.month_end > :start and x.month_start < :end
group by x.month_start, x.row_count
having x.row_count <> coalesce(sum(a.row_count), 0)
union all
select date_trunc('month', m.ts_event), count(*), null, 'it had left the tape, and is there again'
from market_records m
where m.ts_event < (select through from tape_expired) and m.ts_event >= :start and m.ts_event < :end
group by 1
order by 1, 4
