"""What is shown in Chromium to who has a key, and how long the key is kept."""

from playwright.sync_api import Browser

from coordinator_dagster.competition import Competition
from tests.report.played import IMAGE, PRIVATE
from tests.report.test_browser import PATIENCE_MS, browser, pytestmark, shown, url  # noqa: F401
from tests.report.two_players import make_key

RAISED = f"{PRIVATE} {IMAGE}"  # by a model whose words would be HTML


def test_a_player_sees_what_only_they_may_by_a_key_that_stays_in_the_tab(
    browser: Browser,  # noqa: F811
    shown: Competition,  # noqa: F811
    url: str,  # noqa: F811
) -> None:
    key, other = make_key(shown, "player-hostile"), make_key(shown, "player-broken")
    page = browser.new_page()
    page.set_default_timeout(PATIENCE_MS)
    asked: list[str] = []
    page.on("request", lambda one: asked.append(one.url))
    page.goto(f"{url}/model/hostile")
    page.get_by_label("Key").fill(other)
    page.get_by_role("button", name="Show").click()
    page.get_by_text("there is no such model of yours").wait_for()
    page.get_by_label("Key").fill(key)
    page.keyboard.press("Enter")
    page.locator("#private td.why").get_by_text(RAISED).first.wait_for()
    assert page.get_by_role("region", name="The model's log").count() == 1
    page.get_by_role("button", name="Explain").first.click()
    page.get_by_role("region", name="How the chosen score came about").get_by_text('"outcome": "CHARGED').wait_for()
    assert page.locator("#private img").count() == 0
    assert not [address for address in asked if key in address or other in address]
    assert page.evaluate("[localStorage.length, document.cookie]") == [0, ""]
    page.goto(f"{url}/model/broken")  # a rival's: the key is for another, and stays
    with page.expect_response("**/private/**"):
        page.reload()
    assert page.locator("#key-said").inner_text() == ""
    page.goto(f"{url}/model/hostile")
    page.route("**/private/**", lambda route: route.fulfill(status=503, json={"message": "away for now"}))
    page.reload()
    page.get_by_text("away for now").wait_for()
    page.unroute("**/private/**")
    page.reload()
    page.locator("#private td.why").first.wait_for()
    page.get_by_role("button", name="Forget the key").click()
    assert page.locator("#private td.why").count() == 0
    assert page.evaluate("sessionStorage.length") == 0
    page.get_by_label("Key").fill("wrong")
    page.keyboard.press("Enter")
    page.get_by_text("this key is wrong or was revoked").wait_for()
    assert page.evaluate("sessionStorage.length") == 0
    page.close()
