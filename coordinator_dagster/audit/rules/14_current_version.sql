-- rule: 14
-- asset: leaderboard
-- title: not exactly one version is shown though there are boards
select count(*) filter (where current) as shown, string_agg(version, ', ' order by version) filter (where current)
       as versions
from slot_versions
having count(*) filter (where current) <> 1 and exists (select from leaderboards)
