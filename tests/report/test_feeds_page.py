"""The feeds page: what is missing, and that it is told soon."""

import httpx
import pytest

from coordinator_dagster.competition import Competition
from coordinator_dagster.report.pages import feeds
from coordinator_dagster.store.report import board_history
from tests.report.played import tables
from tests.report.test_pages import change, client, shown  # noqa: F401


def test_the_feeds_page_counts_what_is_missing(client: httpx.Client, shown: Competition) -> None:  # noqa: F811
    assert "are complete." in client.get("/feeds").text
    change(shown, "delete from market_records where ts_event >= '2026-01-05T01:10Z' and ts_event < '2026-01-05T01:13Z'")
    change(
        shown,
        "insert into market_gaps (provider, asset, kind, granularity, gap_start, gap_end, state, reason) "
        "select provider, asset, kind, granularity, '2026-01-05T01:10Z', '2026-01-05T01:13Z', 'open', "
        "'GET http://me:pass@here: <b>why</b>' "
        "from market_ingestion_state",
    )
    change(shown, "update market_ingestion_state set updated_at = now() + interval '1 minute'")
    page = client.get("/feeds").text
    assert "5 January, 01:00 UTC: 57 of 60 candles" in page
    assert "1 standing gap" in page
    assert "the feed did not answer" in page
    assert not [word for word in ("me:pass", "why&lt;") if word in page], "its address may hold what opens it"


def test_a_gap_that_was_given_up_is_on_the_feeds_page_soon(
    client: httpx.Client,  # noqa: F811
    shown: Competition,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feeds, "KEPT_SECONDS", 1e-6)
    assert "GIVEN_UP" not in client.get("/feeds").text
    change(
        shown,
        "insert into market_gaps (provider, asset, kind, granularity, gap_start, gap_end, state, reason) "
        "select provider, asset, kind, granularity, '2026-01-05T01:20Z', '2026-01-05T01:23Z', 'GIVEN_UP', '' "
        "from market_ingestion_state",
    )
    assert "GIVEN_UP" in client.get("/feeds").text


def test_when_the_tape_has_stopped_its_stamp_changes_once_more(client: httpx.Client, shown: Competition) -> None:  # noqa: F811
    change(shown, "update market_ingestion_state set updated_at = now() - interval '90 seconds'")
    before = board_history.STANDING.replace("interval '1 minute'", "interval '2 minutes'")  # as of 30 seconds ago
    with tables(shown) as database:
        assert (
            database.read(before, before=[])[0].tape_at != database.read(board_history.STANDING, before=[])[0].tape_at
        )
