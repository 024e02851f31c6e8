"""A person's way through the pages: numbers lead to lists, lists to conversations, values to the words they rest on."""

import re

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.web.conftest import PASSWORD, Visit, Visits


def test_from_the_front_door_to_the_words_behind_a_number(visit: Visit) -> None:
    page = visit.page
    visit.go("/")
    expect(page).to_have_title("Sign in · Parley")
    visit.sign_in("analyst")
    expect(page.get_by_role("heading", level=1)).to_have_text("Dashboard")
    # Every number is what the API says.
    with visit.site.api.client(visit.site.tenant.key) as client:
        told = client.get("/v1/dashboard").json()
    assert told["conversations"]["count"] == visit.site.seeded.count
    csat = next(field for field in told["fields"] if field["key"] == "csat")
    card = page.get_by_role("article", name="CSAT")
    expect(card.locator(".big")).to_have_text(re.compile(rf"{csat['average']:.1f}\s+of 5"))
    expect(card.locator(".coverage")).to_have_text(
        re.compile(rf"{csat['known']} known\s*·\s*{csat['unknown']} unknown")
    )
    # A bucket leads to its conversations: as many as it says.
    bucket = next(part for part in csat["parts"] if part["label"] == "Dissatisfied")
    card.get_by_role("link", name="Dissatisfied").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Conversations")
    expect(page.get_by_role("status")).to_have_text(f"{bucket['count']} conversations found")
    assert "csat < 3" in page.get_by_label("Filter", exact=True).input_value()
    # A facet narrows further, and its chip takes it away again.
    page.get_by_role("region", name="Channel").get_by_role("link", name="Call").click()
    chips = page.locator(".chip")
    expect(chips.filter(has_text="channel = call")).to_be_visible()
    expect(page.get_by_role("listitem").filter(has=page.locator(".row-link")).first).to_contain_text("Call")
    # A row leads to the conversation.
    page.locator(".row-link").first.click()
    expect(page.get_by_role("heading", name="Values", exact=True)).to_be_visible()
    # Evidence leads to its turn, and the very words are marked.
    quote = page.get_by_role("article", name="CSAT").locator(".evidence a")
    words = quote.locator("q").inner_text()
    quote.click()
    marked = page.locator(".turn.shown mark.quote")
    expect(marked).to_have_text(words.strip("“”"))
    expect(page.locator(".turn.shown")).to_be_focused()


def test_words_are_found_and_marked(visit: Visit) -> None:
    page = visit.page
    visit.sign_in("viewer", "/conversations")
    expect(page.get_by_role("status")).to_have_text("newest first")
    page.get_by_label("Words").fill('"charged twice"')
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("status")).to_have_text(re.compile(r"\d+ conversations found"))
    expect(page.locator(".fragment mark").first).to_have_text("charged twice")
    page.get_by_label("Order").select_option("started")
    page.get_by_role("button", name="Search").click()
    times = page.locator(".row-link time").evaluate_all("found => found.map(t => t.dateTime)")
    assert len(times) > 3
    assert times == sorted(times)
    page.get_by_label("Words").fill("zebra")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("heading", name="Nothing found")).to_be_visible()


def test_a_wrong_filter_says_where(visit: Visit) -> None:
    page = visit.page
    visit.sign_in("viewer", "/conversations")
    page.get_by_label("Filter", exact=True).fill("csat < 3 and chanel = call")
    page.get_by_role("button", name="Search").click()
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("Column 14: unknown name `chanel`, did you mean `channel`?")
    expect(alert.locator("mark")).to_have_text("chanel")
    expect(page.get_by_label("Filter", exact=True)).to_have_value("csat < 3 and chanel = call")
    for wrong, told in (("csat <", "a value is expected"), ("x" * 4_100, "longer than"), ("(((", "a name is expected")):
        visit.page.evaluate("document.querySelector('input[name=where]').removeAttribute('maxlength')")
        page.get_by_label("Filter", exact=True).fill(wrong)
        page.get_by_role("button", name="Search").click()
        expect(page.get_by_role("alert")).to_contain_text(told)


def test_pages_follow_each_other_without_gap_or_repetition(visit: Visit) -> None:
    page = visit.page
    visit.sign_in("viewer", "/conversations")
    for path in ("/conversations", "/conversations?sort=-csat"):
        visit.go(path)
        seen: list[str] = []
        while True:
            seen += page.locator(".row-link").evaluate_all("found => found.map(a => a.pathname)")
            following = page.get_by_role("link", name=re.compile("^Next"))
            if not following.count():
                break
            following.click()
        assert len(seen) == len(set(seen)) == visit.site.seeded.count


def test_filters_of_the_dashboard_narrow_every_number(visit: Visit) -> None:
    page = visit.page
    visit.sign_in()
    page.get_by_label(re.compile("^Channel")).select_option("call")
    page.get_by_label(re.compile("^Queue")).select_option("Billing")
    page.get_by_role("button", name="Show").click()
    with visit.site.api.client(visit.site.tenant.key) as client:
        told = client.get("/v1/dashboard", params={"channel": "call", "queue": "Billing"}).json()
        listed = client.get("/v1/search", params={"where": told["conversations"]["where"]}).json()
    count = told["conversations"]["count"]
    assert 0 < count < visit.site.seeded.count
    assert listed["total"] == count
    expect(page.locator(".glance .big")).to_have_text(str(count))
    page.locator(".chip").filter(has_text="Queue").click()
    expect(page.locator(".chip")).to_have_count(1)
    visit.go("/dashboard?from=2020-01-01&to=2020-02-01")
    expect(page.get_by_role("heading", name="No conversations in this period")).to_be_visible()
    page.get_by_role("link", name="Show the 30 days up to then").click()
    expect(page.locator(".glance .big")).to_have_text(str(visit.site.seeded.count))
    visit.go("/dashboard?from=2026-02-01&to=2026-01-01")
    expect(page.get_by_role("alert")).to_contain_text("is after the last day")
    visit.go("/dashboard?from=yesterday")
    expect(page.get_by_role("alert")).to_contain_text("is not a day")


def test_every_number_of_the_dashboard_is_what_its_filter_lists(visit: Visit) -> None:
    """Each `where` of the answer, asked of the search."""
    with visit.site.api.client(visit.site.tenant.key) as client:
        told = client.get("/v1/dashboard").json()
        counted = [(told["conversations"]["where"], told["conversations"]["count"])]
        for channel in told["conversations"]["channels"]:
            counted += [(s["where"], s["count"]) for s in channel["statuses"]] + [(channel["where"], channel["count"])]
        for field in told["fields"]:
            counted += [(field["where_known"], field["known"]), (field["where_unknown"], field["unknown"])]
            counted += [(part["where"], part["count"]) for part in field["parts"]]
        assert len(counted) > 40
        for where, count in counted:
            assert client.get("/v1/search", params={"where": where, "limit": 1}).json()["total"] == count, where


def test_what_went_wrong_and_what_was_skipped_is_told(visit: Visit) -> None:
    page = visit.page
    visit.sign_in()
    visit.go(f"/conversations/{visit.site.seeded['failed']}")
    expect(page.get_by_role("note")).to_contain_text("It failed at the stage normalize")
    expect(page.locator(".stages")).to_contain_text("content_damaged: the content does not decrypt")
    expect(page.get_by_role("link", name=re.compile("in Temporal"))).to_have_attribute(
        "href", re.compile(r"^http://temporal\.example/")
    )
    visit.go(f"/conversations/{visit.site.seeded['short']}")
    expect(page.locator(".whys")).to_contain_text("There is too little text from the customer to analyse.")
    expect(page.locator(".ledger li")).to_have_count(6)
    expect(page.locator(".notes")).to_contain_text("The id is made from author, time and text.")


@pytest.mark.parametrize(
    "path", ["/nowhere", "/conversations/00000000-0000-4000-8000-000000000000", "/conversations/x"]
)
def test_what_is_not_there_is_told_as_a_page(site_client: httpx.Client, path: str) -> None:
    page = site_client.get(path, headers={"Accept": "text/html"})
    assert page.status_code == 404
    assert "Nothing here" in page.text
    assert page.headers["content-type"].startswith("text/html")
    for_programs = site_client.get(path)
    assert for_programs.headers["content-type"] == "application/problem+json"


# -- without a mouse, without scripts ---------------------------------------------------------------------------


def focused(page: Page) -> str:
    """What has the focus, in words."""
    return str(page.evaluate("document.activeElement.textContent.trim() || document.activeElement.name"))


def tab_to(page: Page, words: str, most: int = 120) -> None:
    for _ in range(most):
        page.keyboard.press("Tab")
        if words in focused(page):
            return
    raise AssertionError(f"{words!r} cannot be reached with the Tab key")


def test_signing_in_and_reading_with_keys_only(visit: Visit) -> None:
    page = visit.page
    visit.go("/sign-in?tenant=harbour")
    expect(page.get_by_label("E-mail")).to_be_focused()
    page.keyboard.type(visit.site.email("analyst"))
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/dashboard*")
    # The first key leads past the frame.
    page.keyboard.press("Tab")
    assert focused(page) == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    tab_to(page, "Dissatisfied")
    # Whoever moves by keys sees where they are.
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    page.wait_for_url("**/conversations?*")
    page.locator("h1").wait_for()
    page.evaluate("document.querySelector('main').focus()")
    tab_to(page, "Call")
    page.keyboard.press("Enter")
    page.locator(".chip").nth(1).wait_for()
    page.locator(".row-link").first.focus()
    page.keyboard.press("Enter")
    page.locator("#values-title").wait_for()
    page.locator(".evidence a").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".turn.shown")).to_be_focused()


def test_the_menu_opens_and_closes_with_keys(visit: Visit) -> None:
    page = visit.page
    visit.sign_in("viewer")
    menu = page.locator("details.menu summary")
    menu.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Sign out")).to_be_hidden()
    expect(menu).to_be_focused()
    page.keyboard.press("Enter")
    tab_to(page, "Sign out", 5)
    page.keyboard.press("Enter")
    page.wait_for_url("**/sign-in?tenant=harbour")
    visit.go("/dashboard")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_without_scripts_the_pages_still_work(visits: Visits) -> None:
    visit = visits.open(java_script_enabled=False)
    page = visit.page
    visit.sign_in("analyst")
    page.get_by_role("article", name="CSAT").get_by_role("link", name="Dissatisfied").click()
    page.locator(".row-link").first.click()
    page.locator(".evidence a").first.click()
    assert "#turn-" in page.url
