"""The same without a mouse."""

from playwright.sync_api import Page, expect

from tests.web.conftest import PASSWORD, Visit


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


def test_without_scripts_the_pages_still_work(visits) -> None:
    visit = visits.open(java_script_enabled=False)
    page = visit.page
    visit.sign_in("analyst")
    page.get_by_role("article", name="CSAT").get_by_role("link", name="Dissatisfied").click()
    page.locator(".row-link").first.click()
    page.locator(".evidence a").first.click()
    assert "#turn-" in page.url
