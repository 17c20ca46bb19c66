"""What each asset holds, window by window, for the Dagster UI."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from coordinator_dagster.store.database import Database
from coordinator_dagster.windows import Window

# The window `[start, end)` of an instant, and the window `(start, end]` that an end or a truth falls in.
OF = "date_bin(:length, {0}, 'epoch')"
ENDING = "date_bin(:length, {0} - interval '1 microsecond', 'epoch')"

QUERIES = {
    "market_records": (
        "with records as (select {window} as window_start, count(*) as records, "
        "  max(event_end)::text as last_event_end, "
        # how long after its end a record was known: imported history has its publish lag
        "  percentile_cont(0.5) within group (order by extract(epoch from known_at - event_end)) as known_after_s, "
        "  percentile_cont(0.99) within group (order by extract(epoch from known_at - event_end)) as known_after_s_p99 "
        " from market_records where event_end > :start and event_end <= :end group by 1), "
        "gaps as (select w as window_start, count(*) as standing_gaps, max(reason) as gap "
        " from generate_series(:start, :end - :length, :length) w "
        " join market_gaps on gap_start < w + :length and gap_end > w and state in ('open', 'healing') group by 1) "
        "select * from records full join gaps using (window_start)",
        ENDING,
        "event_end",
    ),
    "inference_inputs": (
        "select {window} as window_start, count(*) as inputs, sum(pg_column_size(payload_jsonb)) as stored_bytes "
        "from inference_inputs where performed_at >= :start and performed_at < :end group by 1",
        OF,
        "performed_at",
    ),
    "predictions": (
        "select {window} as window_start, count(*) as forecasts, count(distinct model_id) as models, "
        " count(*) filter (where status = 'SUCCESS') as success, "
        " count(*) filter (where status = 'FAILED') as failed, "
        " count(*) filter (where status = 'TIMEOUT') as timeout, "
        " count(*) filter (where status = 'LATE') as late, "
        " count(*) filter (where status = 'ABSENT') as absent, "
        " count(*) filter (where status = 'SUSPENDED') as suspended, "
        " string_agg(distinct model_id, ', ') filter (where status = 'SUSPENDED') as suspended_models, "
        " count(*) filter (where status = 'PLATFORM_FAULT') as platform_fault, "
        " percentile_cont(0.99) within group (order by queued_ms) as queued_ms_p99, "
        " coalesce(avg(exec_time_ms), 0) as mean_exec_time_ms "
        "from forecasts where performed_at >= :start and performed_at < :end group by 1",
        OF,
        "performed_at",
    ),
    "ground_truths": (
        "select {window} as window_start, count(*) filter (where status = 'RESOLVED') as resolved, "
        " count(*) filter (where status = 'VOID') as void, max(reason) filter (where status = 'VOID') as void_reason "
        "from ground_truths where performed_at >= :start and performed_at < :end group by 1",
        OF,
        "performed_at",
    ),
    "scores": (
        "select {window} as window_start, count(*) filter (where status = 'SCORED') as scored, "
        " count(*) filter (where status = 'CHARGED') as charged, "
        " count(*) filter (where status = 'EXEMPT') as exempt, avg(score_value) as mean_score, "
        " min(score_value) as lowest_score from scores "
        "where performed_at >= :start and performed_at < :end and version = :version group by 1",
        OF,
        "performed_at",
    ),
    "model_scores": (
        "select window_start, count(*) as models from model_scores "
        "where window_start >= :start and window_start < :end and version = :version group by 1",
        "",
        "",
    ),
    "leaderboard": (
        "select window_start, jsonb_array_length(entries_jsonb) as listed, final, "
        " entries_jsonb->0->>'model_name' as first_place from leaderboards "
        "where window_start >= :start and window_start < :end and version = :version",
        "",
        "",
    ),
}


def summarize(
    database: Database,
    asset: str,
    windows: Sequence[Window],
    length: timedelta,
    version: str,
) -> Mapping[datetime, dict[str, Any]]:
    """The asset's counts by window start, for these windows; a window without rows is absent."""
    sql, window, column = QUERIES[asset]
    rows = database.read(
        sql.format(window=window.format(column)),
        start=windows[0].start,
        end=windows[-1].end,
        length=length,
        version=version,
    )
    return {
        row.window_start: {
            name: _plain(value) for name, value in row._mapping.items() if name != "window_start" and value is not None
        }
        for row in rows
    }


def _plain(value: Any) -> Any:
    """PostgreSQL's numeric as an int: sums of counts come as such."""
    return int(value) if isinstance(value, Decimal) else value


def suspensions(database: Database, window: Window) -> Sequence[Any]:
    """Who was suspended in the window, after which failure, until when and why, with the cycles it cost; by model."""
    return database.read(
        "select model_id, meta_jsonb->'suspension'->>'since' as since, meta_jsonb->'suspension'->>'until' as until, "
        " count(*) as cycles, min(meta_jsonb->>'reason') as reason from forecasts "
        "where performed_at >= :start and performed_at < :end and status = 'SUSPENDED' group by 1, 2, 3 order by 1, 2",
        start=window.start,
        end=window.end,
    )


def forecasts_beside_truth(database: Database, window: Window, version: str) -> Sequence[Any]:
    """The window's answered forecasts with the prices and the return that came, for the plot."""
    return database.read(
        "select f.model_id, f.scope_key, f.resolvable_at, f.inference_output_jsonb as output, "
        " g.truth_jsonb as truth from forecasts f join ground_truths g on g.performed_at = f.performed_at "
        " and g.prediction_config_id = f.prediction_config_id and g.version = :version "
        "where f.performed_at >= :start and f.performed_at < :end and f.status = 'SUCCESS' "
        " and g.status = 'RESOLVED' order by f.scope_key, f.model_id, f.performed_at",
        start=window.start,
        end=window.end,
        version=version,
    )
