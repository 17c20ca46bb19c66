"""What the leaderboard says of a live competition's forecasts: the next, the last, and that there are none."""

import re
from datetime import UTC, datetime, timedelta

from coordinator_dagster.competition import Competition
from coordinator_dagster.store.store import open_as_it_stands, open_store
from tests.report.conftest import Make
from tests.report.serving import asked
from tests.report.test_pages import change

PERFORM = """
insert into cycles (prediction_config_id, performed_at, resolvable_at, window_start, status)
select id, date_trunc('minute', now()), now(), date_trunc('hour', now()), 'PERFORMED' from scheduled_prediction_configs
"""
LATE = "No forecast has been made since then"


def this_hour() -> datetime:
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0)


def live(competition: Make, start: datetime) -> Competition:
    made: Competition = competition(mode="live", competition_start=start.isoformat(), competition_end="")
    return made


def test_a_live_competition_says_when_models_are_asked_next(competition: Make) -> None:
    made = live(competition, this_hour())
    open_store(made).close()
    with asked(made) as client:
        page, now = client.get("/").text, client.get("/clock").json()
    coming = datetime.fromisoformat(now["next_instant"])
    assert timedelta(0) < coming - datetime.fromisoformat(now["now"]) <= timedelta(seconds=60)
    assert (coming.timestamp() % 60, now["cadence_seconds"]) == (0, 60)
    assert "No leaderboard yet" in page
    assert 'id="countdown"' in page


def test_a_live_competition_says_when_its_forecasts_stopped(competition: Make) -> None:
    made = live(competition, this_hour() - timedelta(hours=2))
    open_store(made).close()
    with asked(made) as client:
        page, now = client.get("/").text, client.get("/clock").json()
        change(made, PERFORM)
        again = client.get("/").text
    assert (now["last_instant"], now["overdue"]) == (None, True)
    assert "none yet" in page
    assert re.search(f'id="overdue"[^>]*>{LATE}', page)
    assert not re.search(f'id="overdue"[^>]*>{LATE}', again)
    assert "none yet" not in again


def test_a_live_competition_without_configs_has_not_begun(competition: Make) -> None:
    made = live(competition, this_hour() - timedelta(hours=2))
    open_as_it_stands(made).close()
    with asked(made) as client:
        before = client.get("/").text
        stamp = client.get("/clock").json()["stamp"]
        open_store(made).close()
        assert "The competition has not begun" not in client.get("/").text
    assert "The competition has not begun" in before
    assert "is paused, or over" not in before
    assert f'data-stamp="{stamp}"' in before


def test_after_a_pause_whose_end_is_ordered_the_next_forecast_is_known(competition: Make) -> None:
    made = live(competition, this_hour())
    open_store(made).close()
    order = "insert into operator_orders (kind, effective_at, reason, given_by) values (:kind, :at, 'x', 'me')"
    resumed = this_hour() + timedelta(hours=3)
    with asked(made) as client:
        change(made, order, kind="pause", at=this_hour())
        page = client.get("/").text
        change(made, order, kind="resume", at=resumed)
        now = client.get("/clock").json()
    assert "is paused, or over" in page
    assert (datetime.fromisoformat(now["next_instant"]), now["overdue"]) == (resumed, False)
