"""The pages in Chromium, as they are used: by mouse and keyboard, on a phone, in the dark, while a board changes."""

import importlib.resources
import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from sqlalchemy import text

from coordinator_dagster.competition import Competition
from coordinator_dagster.report.app import create_app
from tests.report.played import SCRIPT, played, run_windows, tables
from tests.report.serving import serving

CHROMIUM = shutil.which("chromium")
PATIENCE_MS = 20_000
PHONE = 360
PAGES = ("/", "/model/trend_following", "/feeds")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]
MODELS = 5

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")


@pytest.fixture(scope="module")
def shown(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Competition]:
    """Two hours of three."""
    home: Path = tmp_path_factory.mktemp("browser")
    with played(database_url, home, "browser", windows=2, pack="tournament") as made:
        yield made


@pytest.fixture(scope="module")
def url(shown: Competition) -> Iterator[str]:
    with serving(create_app(shown)) as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def opened(browser: Browser, address: str, width: int = 1280) -> Iterator[Page]:
    """A page. In the end it has written no error and asked no other host for anything."""
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.set_default_timeout(PATIENCE_MS)
    wrong: list[str] = []
    page.on("console", lambda one: wrong.append(one.text) if one.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    host = address.split("/")[2]
    page.on("request", lambda one: wrong.append(one.url) if one.url.split("/")[2] != host else None)
    page.goto(address)
    page.locator(".clock").wait_for()
    yield page
    page.close()
    assert wrong == []


def order(page: Page) -> list[str]:
    ids: list[str] = page.eval_on_selector_all("table.board tbody tr", "rows => rows.map(row => row.dataset.id)")
    return ids


def numbers(page: Page, key: str) -> list[float | None]:
    """A column's numbers from the top."""
    found: list[float | None] = page.evaluate(
        """key => {
          const place = document.querySelector(`th[data-key="${key}"]`).cellIndex;
          const cells = [...document.querySelectorAll("table.board tbody tr")].map(row => row.cells[place]);
          return cells.map(cell => "v" in cell.dataset ? Number(cell.dataset.v) : null);
        }""",
        key,
    )
    return found


def sorted_by(page: Page) -> dict[str, str]:
    found: dict[str, str] = page.evaluate(
        "Object.fromEntries([...document.querySelectorAll('th[aria-sort]')].map(th => [th.dataset.key, th.ariaSort]))"
    )
    return found


def look_now(page: Page) -> None:
    """As when somebody comes back to the tab: it asks at once, not within five seconds."""
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def change(made: Competition, sql: str, **parameters: Any) -> None:
    with tables(made) as database, database.transaction() as connection:
        connection.execute(text(sql), parameters)


def test_a_column_sorts_by_mouse_and_by_keyboard(browser: Browser, url: str) -> None:
    with opened(browser, url) as page:
        served = order(page)
        assert sorted_by(page) == {"rank": "ascending"}
        page.get_by_role("button", name="Recent").click()
        found = numbers(page, "score_recent")
        assert found == sorted(found, key=lambda value: -float(value or 0))
        assert sorted_by(page) == {"score_recent": "descending"}
        page.keyboard.press("Enter")
        assert numbers(page, "score_recent") == found[::-1]
        assert sorted_by(page) == {"score_recent": "ascending"}
        page.locator("th[data-key=rank] button").focus()
        for direction in ("ascending", "descending"):
            page.keyboard.press("Space")
            assert sorted_by(page) == {"rank": direction}
            assert numbers(page, "rank")[-1] is None, "who has no rank comes last in both directions"
        page.locator("th[data-key=rank] button").click()
        assert order(page) == served


def test_a_models_page_is_a_click_away_and_its_charts_are_drawn(browser: Browser, url: str) -> None:
    with opened(browser, url) as page:
        page.get_by_role("link", name=SCRIPT).click()
        page.get_by_role("heading", name=SCRIPT).wait_for()
        page.locator(".u-legend").first.wait_for()
        drawn = page.eval_on_selector_all(
            "figure[data-chart] canvas",
            """all => all.map(one => {
              const pixels = one.getContext("2d").getImageData(0, 0, one.width, one.height).data;
              return pixels.some(value => value !== 0);
            })""",
        )
        assert drawn == [True] * 3
        page.get_by_label("Scope").select_option("BTC-out-of-sample-900s")
        page.get_by_text("The newest 8 forecasts whose truth is known").wait_for()
        page.get_by_text("The numbers of this chart").first.click()
        assert page.get_by_role("region", name="Numbers: Scores through time").get_by_role("row").count() == 3
        page.set_viewport_size({"width": PHONE, "height": 700})
        page.evaluate(
            """width => new Promise(done => {
              const look = () => document.querySelector("canvas").clientWidth < width ? done() : setTimeout(look, 50);
              look();
            })""",
            PHONE,
        )


@pytest.mark.parametrize("path", PAGES)
def test_axe_finds_nothing_in_either_theme(browser: Browser, url: str, path: str) -> None:
    axe = importlib.resources.files("axe_core_python").joinpath("axe.min.js").read_text()
    with opened(browser, url + path) as page:
        page.evaluate(axe)
        light = page.evaluate("rules => axe.run({runOnly: rules})", RULES)
        page.emulate_media(color_scheme="dark")
        dark = page.evaluate("() => axe.run({runOnly: ['color-contrast']})")  # the one that a theme changes
    found = [*light["violations"], *dark["violations"]]
    said = [(one["id"], [node["html"][:200] for node in one["nodes"]]) for one in found]
    assert said == [], json.dumps(said, indent=1)
    assert light["passes"]
    assert dark["passes"]


@pytest.mark.parametrize("path", [*PAGES, "/model/hostile"])
def test_on_a_phone_nothing_is_wider_than_the_page(browser: Browser, url: str, path: str) -> None:
    with opened(browser, url + path, width=PHONE) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the content"


def test_on_a_phone_the_cells_that_stay_look_as_their_row(browser: Browser, url: str) -> None:
    with opened(browser, url, width=PHONE) as page:
        page.locator("table.board tbody tr").first.hover()
        found = page.eval_on_selector_all(
            "table.board tr",
            """rows => rows.map(row => [row, ...row.querySelectorAll(".rank, .model")]
              .map(one => getComputedStyle(one).backgroundColor))""",
        )
    assert len({row for row, *_ in found}) == 2
    assert [one for one in found if len(set(one)) > 1] == []


def test_a_refresh_leaves_focus_and_scroll_of_every_box(browser: Browser, shown: Competition, url: str) -> None:
    with opened(browser, f"{url}/model/trend_following") as page:
        page.get_by_text("The numbers of this chart").last.click()
        box = page.locator(".box.tall:visible").last
        page.evaluate("[...document.styleSheets].at(-1).insertRule('.box.tall { max-height: 4rem !important }')")
        box.evaluate("box => { box.scrollTop = 30; box.focus(); }")
        label = box.get_attribute("aria-label")
        change(shown, "update leaderboards set created_at = now()")
        look_now(page)
        page.get_by_text("model updated at").wait_for(state="attached")
        assert page.evaluate("[document.activeElement.ariaLabel, document.activeElement.scrollTop]") == [label, 30]


def test_without_scripts_the_board_is_there(browser: Browser, url: str) -> None:
    page = browser.new_page(java_script_enabled=False)
    page.goto(url)
    assert page.get_by_role("rowheader").count() == MODELS
    assert page.get_by_role("table").get_by_role("button").count() == 0, "a button that does nothing"
    page.close()


def test_the_board_changes_without_a_reload_and_stays_sorted(browser: Browser, shown: Competition, url: str) -> None:
    with opened(browser, url) as page:
        page.evaluate("window.stayed = true")
        page.get_by_role("button", name="Model").click()
        page.keyboard.press("Enter")
        before = order(page)
        assert "5 January 2026, 01:00" in page.locator(".facts").inner_text()
        with ThreadPoolExecutor(1) as elsewhere:  # playwright has a loop of its own in this thread
            elsewhere.submit(run_windows, shown, 2, 3).result()
        look_now(page)
        page.get_by_text("leaderboard updated at").wait_for(state="attached")
        assert "5 January 2026, 02:00" in page.locator(".facts").inner_text()
        assert sorted_by(page) == {"model": "descending"}
        assert order(page) == before
        assert page.evaluate("document.activeElement.closest('th').dataset.key") == "model"
        assert page.evaluate("window.stayed")


def test_a_server_that_is_away_is_told_and_asked_again(browser: Browser, url: str) -> None:
    with opened(browser, url) as page:
        page.route("**/clock", lambda route: route.fulfill(status=200, body="not what it says"))
        look_now(page)
        page.get_by_text("The server does not answer").wait_for()
        page.unroute("**/clock")
        look_now(page)
        page.get_by_text("The server does not answer").wait_for(state="hidden")


def sort_ms(page: Page, key: str) -> float:
    """How long a click on a header takes until all is sorted and laid out; at best, for others use the machine, too."""
    times: list[float] = page.evaluate(
        """key => [1, 2, 3, 4].map(() => {
          const button = document.querySelector(`th[data-key="${key}"] button`);
          const began = performance.now();
          button.click();
          document.body.getBoundingClientRect();
          return performance.now() - began;
        })""",
        key,
    )
    return min(times)


def test_a_thousand_models_are_filtered_and_sorted_at_once(browser: Browser, shown: Competition, url: str) -> None:
    change(
        shown,
        "update leaderboards set created_at = now(), entries_jsonb = (select jsonb_agg(entries_jsonb->0 || "
        " jsonb_build_object('model_id', 'm' || n, 'model_name', 'Model ' || n, 'rank', n, 'score', "
        "  jsonb_set(entries_jsonb->0->'score', '{metrics,recent}', to_jsonb((n * 7919) % 1000)))) "
        " from generate_series(1, 1000) n)",
    )
    with opened(browser, url) as page:
        assert len(order(page)) == 1000
        took = [sort_ms(page, key) for key in ("score_recent", "model", "rank")]
        assert max(took) < 100, took
        page.get_by_label("Find a model").fill("model 77")
        assert page.locator("table.board tbody tr:visible").count() == 11
        page.get_by_text("11 of 1000 models").wait_for(state="attached")
        page.get_by_role("button", name="Recent").click()
        assert page.locator("table.board tbody tr:visible").count() == 11
