"""The pages as HTML: what they show, what they keep to themselves, and what they say where there is nothing."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html import escape, unescape
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from coordinator_dagster.competition import Competition
from coordinator_dagster.report.pages.columns import written
from coordinator_dagster.store.boards import BoardTables
from coordinator_dagster.store.report import board_history
from tests.cli.test_cli import PASSWORD, UNREACHABLE
from tests.report.conftest import Make
from tests.report.played import IMAGE, PRIVATE, SCRIPT, played, tables
from tests.report.serving import asked

PAGES = ("/", "/feeds", "/model/trend_following")


@pytest.fixture(scope="module")
def shown(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Competition]:
    """Three hours, all of the competition."""
    home: Path = tmp_path_factory.mktemp("pages")
    with played(database_url, home, "pages", windows=3) as made:
        yield made


@pytest.fixture(scope="module")
def client(shown: Competition) -> Iterator[httpx.Client]:
    with asked(shown) as client:
        yield client


def change(made: Competition, sql: str, **parameters: object) -> None:
    with tables(made) as database, database.transaction() as connection:
        connection.execute(text(sql), parameters)


def test_before_the_first_run_the_pages_say_so(competition: Make) -> None:
    made = competition()
    with asked(made) as client:
        board, feeds, model = client.get("/"), client.get("/feeds"), client.get("/model/trend_following")
        now = client.get("/clock").json()
    assert (board.status_code, feeds.status_code, model.status_code) == (200, 200, 404)
    assert "The competition has not begun" in board.text
    assert 'href="/feeds"' not in board.text, "there is no feed data to link to"
    assert "There is no feed data yet" in feeds.text
    assert (now["computed_at"], now["final"], now["next_instant"], now["stamp"]) == (None, None, None, "")


def test_while_the_database_is_away_a_page_says_so_and_nothing_of_its_address(competition: Make) -> None:
    with asked(competition(database_url=UNREACHABLE)) as client:
        answers = [client.get(page) for page in PAGES]
        assert client.get("/clock").status_code == 503
    for answer in answers:
        assert answer.status_code == 503
        assert answer.headers["content-type"].startswith("text/html")
        assert "The database does not answer" in answer.text
        assert not [one for one in (PASSWORD, "somebody", "nowhere", "127.0.0.1") if one in answer.text]


def test_every_page_runs_nothing_but_its_own_scripts_and_is_none_of_the_api(client: httpx.Client) -> None:
    for path in (*PAGES, "/model/nobody", "/static/main.js"):
        answer = client.get(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        if path != "/static/main.js":
            scripts = re.findall(r"<script[^>]*>", answer.text)
            assert scripts
            assert all('src="/static/' in one for one in scripts)
            assert not re.search(r'<style|\sstyle=|\son[a-z]+="', answer.text)
            assert not re.search(r'(src|href)="(https?:)?//', answer.text)
    paths = client.get("/openapi.json").json()["paths"]
    assert "/clock" in paths
    assert not {"/", "/feeds", "/model/{model_id}"} & set(paths)


@pytest.mark.parametrize("path", ["/", "/model/hostile"])
def test_a_name_that_is_script_is_shown_as_text(client: httpx.Client, path: str) -> None:
    page = client.get(path).text
    assert escape(SCRIPT) in page
    assert SCRIPT not in page
    assert IMAGE not in page
    assert IMAGE in unescape(page)


def test_an_unknown_model_is_a_page_that_leads_back(client: httpx.Client) -> None:
    for name in ("nobody", "a/b", "%00", "x" * 500, "..%2f"):
        answer = client.get(f"/model/{name}")
        assert answer.status_code == 404, name
        assert answer.headers["content-type"].startswith("text/html")
        assert '<a href="/">To the leaderboard</a>' in answer.text


def test_an_unchanged_page_is_not_sent_again(client: httpx.Client) -> None:
    for path in PAGES:
        etag = client.get(path).headers["etag"]
        assert client.get(path, headers={"If-None-Match": etag}).status_code == 304


def lines(page: str) -> dict[str, str]:
    """The rows of the leaderboard by model, in its order."""
    return dict(re.findall(r'<tr role="row" data-id="([^"]*)"[^>]*>(.*?)</tr>', page, re.S))


def test_the_leaderboard_has_ranks_with_their_change_metrics_and_coverage(
    client: httpx.Client, shown: Competition
) -> None:
    page = client.get("/").text
    with tables(shown) as database:
        rows = database.read("select window_start, entries_jsonb as entries, final from leaderboards order by 1 desc")
    newest, before = rows[0].entries, {one["model_id"]: one["rank"] for one in rows[1].entries}
    found = lines(page)
    assert list(found) == [one["model_id"] for one in newest]
    assert 'title="against the board 1 h before"' in page
    assert ">Final<" in page if rows[0].final else ">Interim<" in page
    for entry in newest:
        line, was = found[entry["model_id"]], before[entry["model_id"]]
        assert line.startswith(
            f'<td role="cell" class="n rank" data-v="{entry["rank"]}"'
            if entry["rank"]
            else '<td role="cell" class="n rank">–'
        )
        if entry["rank"] and was:
            places = was - entry["rank"]
            said = "unchanged" if not places else f"{'up' if places > 0 else 'down'} {abs(places)}"
            assert f'<span class="unseen">{said}</span>' in line
        for value in entry["score"]["metrics"].values():
            assert f'data-v="{value}">{written(value, "decimal-2")}<' in line
        payload = entry["score"]["payload"]
        assert f'{payload["answered"]}<span class="quiet">/{payload["due"]}</span>' in line
    assert "answered 30 cycles" not in found["broken"]
    assert "answered 0 cycles of the 30 it takes" in found["broken"]


def test_a_rank_that_changed_is_told_in_words(client: httpx.Client, shown: Competition) -> None:
    path, second = "{0,rank}", "{1,rank}"
    before = "window_start = (select max(window_start) - interval '1 hour' from leaderboards)"
    with tables(shown) as database:
        first, other = (
            one["model_id"]
            for one in database.read(f"select entries_jsonb as e from leaderboards where {before}")[0].e[:2]
        )
    swap = (
        f"update leaderboards set entries_jsonb = jsonb_set(jsonb_set(entries_jsonb, '{path}', :a), '{second}', :b) "
        f"where {before}"
    )
    change(shown, swap, a="2", b="1")
    change(shown, "update leaderboards set created_at = now()")
    page = lines(client.get("/").text)
    change(shown, swap, a="1", b="2")
    change(shown, "update leaderboards set created_at = now()")
    again = lines(client.get("/").text)
    assert page[first] != again[first]
    assert page[other] != again[other]


def test_a_rank_change_is_shown_when_the_board_to_compare_with_is_settled_later(
    client: httpx.Client, shown: Competition
) -> None:
    before = "window_start = (select max(window_start) - interval '1 hour' from leaderboards)"
    change(shown, f"create table kept_board as select * from leaderboards where {before}")
    change(shown, f"delete from leaderboards where {before}")
    without = client.get("/").text
    change(shown, "insert into leaderboards overriding system value select * from kept_board; drop table kept_board")
    assert "no earlier board to compare with" in without
    assert 'title="against the board 1 h before"' in client.get("/").text


def test_a_board_whose_version_is_no_longer_shown_is_no_board(
    client: httpx.Client, shown: Competition, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BoardTables, "latest_leaderboard", lambda *asked: None)  # between the two looks
    monkeypatch.setattr(board_history, "ENTRY", board_history.ENTRY.replace("v.current", "false"))
    change(shown, "update leaderboards set created_at = now()")
    page = client.get("/")
    assert (page.status_code, "No leaderboard yet" in page.text) == (200, True)
    assert "It is on no leaderboard yet." in client.get("/model/trend_following").text
    monkeypatch.undo()
    change(shown, "update leaderboards set created_at = now()")
    assert lines(client.get("/").text)


def test_a_models_page_has_its_rank_among_the_ranked(client: httpx.Client, shown: Competition) -> None:
    with tables(shown) as database:
        entries = database.read("select entries_jsonb as e from leaderboards order by window_start desc limit 1")[0].e
    ranked = [one for one in entries if one["rank"]]
    assert 0 < len(ranked) < len(entries)
    for one in ranked:
        assert (
            f'<dd>{one["rank"]}<span class="quiet"> of {len(ranked)}</span>'
            in client.get(f"/model/{one['model_id']}").text
        )


def test_the_stamp_changes_with_the_board_and_not_without(client: httpx.Client, shown: Competition) -> None:
    page = client.get("/").text
    stamp = re.search(r'data-stamp="(\w+)"', page)
    now = client.get("/clock").json()
    assert stamp
    assert abs(datetime.fromisoformat(now["now"]) - datetime.now(UTC)) < timedelta(seconds=10)
    assert now["computed_at"] == "2026-01-05T03:00:00Z"
    assert now["next_instant"] is None, "a replay waits for nothing"
    assert (now["last_instant"], now["overdue"]) == ("2026-01-05T02:59:00Z", False)
    assert 'id="last"><time datetime="2026-01-05T02:59:00+00:00">' in page
    assert f'data-stamp="{stamp[1]}"' in client.get("/").text
    change(shown, "update leaderboards set created_at = now()")
    assert f'data-stamp="{stamp[1]}"' not in client.get("/").text


def newest_cycle(made: Competition) -> datetime:
    with tables(made) as database:
        moment: datetime = database.read("select max(performed_at) as at from forecasts")[0].at
    return moment


def test_no_forecast_is_shown_before_its_truth(client: httpx.Client, shown: Competition) -> None:
    newest = newest_cycle(shown)
    with tables(shown) as database:
        row = database.read(
            "select inference_output_jsonb->'value' as value from forecasts "
            "where performed_at = :at and model_id = 'trend_following'",
            at=newest,
        )[0]
    number = f'<td class="n">{written(row.value * 10_000, "decimal-3")}</td>'
    assert number in client.get("/model/trend_following").text
    change(shown, "create table kept as select * from ground_truths where performed_at = :at", at=newest)
    change(shown, "delete from ground_truths where performed_at = :at", at=newest)
    hidden = client.get("/model/trend_following").text
    change(shown, "insert into ground_truths select * from kept; drop table kept")
    assert f'<tr data-at="{newest.isoformat()}"' in hidden, "that it was asked is no secret"
    assert number not in hidden


@pytest.mark.parametrize("name", ["hostile", "broken"])
def test_what_a_model_raised_is_nobody_elses_business(client: httpx.Client, shown: Competition, name: str) -> None:
    change(
        shown,
        "update scores set score_failed_reason = 'CHARGED: no score, ' || :private || ', the worst score' "
        "where model_id = :name and performed_at = :at",
        private=PRIVATE,
        name=name,
        at=newest_cycle(shown),
    )
    page = client.get(f"/model/{name}").text
    assert PRIVATE not in page
    assert "ValueError" not in page
    assert "no score, the worst score" in page
    assert "FAILED" in page
    if name == "broken":
        assert re.search(r"suspended</span> since <time[^>]*>2026-01-05 02:\d\d:00</time> until <time", page)


def test_who_is_out_is_shown_as_it_was_when_it_left(client: httpx.Client, shown: Competition) -> None:
    change(
        shown,
        "insert into operator_orders (kind, effective_at, model_id, reason, given_by) "
        "values ('disqualify', '2026-01-05T00:30Z', 'mean_reversion', 'copied <another>', 'me')",
    )
    page = client.get("/model/mean_reversion").text
    assert "disqualified</span> since" in page
    assert "copied &lt;another&gt;" in page
    moments = re.findall(r'<tr data-at="([^"]+)"', page)
    assert moments[0] == "2026-01-05T00:30:00+00:00"
