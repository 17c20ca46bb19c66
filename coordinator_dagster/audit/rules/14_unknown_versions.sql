-- rule: 14
-- asset: leaderboard
-- title: truths, scores or boards of a version that slot_versions does not know
-- A version is entered with its first board: live, what is ten minutes old must be known.
with used as (
    select 'ground_truths' as "table", version, count(*) as "rows", min(performed_at) as first,
           min(resolved_at) as since
    from ground_truths
    where performed_at >= :start and performed_at < :end
      and version not in (select coalesce(detail_jsonb->>'truth_version', '') from slot_versions)
    group by version
    union all
    select 'scores', version, count(*), min(performed_at), min(score_scored_at)
    from scores
    where performed_at >= :start and performed_at < :end and version not in (select version from slot_versions)
    group by version
    union all
    select 'score_rollups', version, count(*), min(window_start), min(window_end)
    from score_rollups
    where window_start >= :start and window_start < :end and version not in (select version from slot_versions)
    group by version
    union all
    select 'model_scores', version, count(*), min(window_start), min(computed_at)
    from model_scores
    where window_start >= :start and window_start < :end and version not in (select version from slot_versions)
    group by version
    union all
    select 'leaderboards', version, count(*), min(window_start), min(created_at)
    from leaderboards
    where window_start >= :start and window_start < :end and version not in (select version from slot_versions)
    group by version
)
select "table", version, "rows", first, since
from used
where (select mode from competition) = 'replay' or since + interval '10 minutes' < :now
order by "table", version
