"""What customers write is shown and does nothing."""

import httpx
from playwright.sync_api import expect

from tests.support.web_seed import ATTACK, RIGHT_TO_LEFT
from tests.web.conftest import Visit

QUERIES = ('"><script>window.pwned = 3</script>', "javascript:alert(1)", "{{ 7191 * 7 }}", "%00", "\u202e\u0000'--")


def test_scripts_in_a_conversation_are_words(visit: Visit) -> None:
    page = visit.page
    visit.sign_in()
    for path in (
        "/dashboard",
        "/conversations",
        "/conversations?q=hello",
        f"/conversations/{visit.site.seeded['attack']}",
    ):
        visit.go(path)
        page.wait_for_load_state("networkidle")
        assert page.evaluate("window.pwned") is None, path
    expect(page.locator("#turn-1 .turn-text")).to_have_text(f"{ATTACK} hello")
    expect(page.locator("#turn-2 .turn-text")).to_have_text(RIGHT_TO_LEFT)
    assert page.locator("main img, main script").count() == 0
    # Marking a quote in it keeps it words.
    page.get_by_role("article", name="Summary").locator(".evidence a").click()
    expect(page.locator("mark.quote")).to_have_text(ATTACK)
    assert page.evaluate("window.pwned") is None


def test_a_quote_is_marked_by_characters_whatever_stands_before_it(visit: Visit) -> None:
    """Offsets count characters; an emoji is one, and two units of a browser's text."""
    visit.sign_in()
    visit.go(f"/conversations/{visit.site.seeded['attack']}")
    visit.page.evaluate(
        """() => {
          const text = document.querySelector('#turn-2 .turn-text');
          text.textContent = '🙁🙁 ab 𝒳 cd';
          const link = document.querySelector('a[data-turn]');
          link.dataset.turn = '2'; link.dataset.start = '6'; link.dataset.end = '9';
        }"""
    )
    visit.page.locator("a[data-turn]").first.click()
    expect(visit.page.locator("mark.quote")).to_have_text("𝒳 c")


def test_nothing_of_an_address_becomes_part_of_a_page_unescaped(site_client: httpx.Client) -> None:
    for query in QUERIES:
        for path, name in (
            ("/conversations", "q"), ("/conversations", "where"), ("/conversations", "sort"),
            ("/conversations", "cursor"), ("/dashboard", "queue"), ("/dashboard", "from"), ("/sign-in", "tenant"),
        ):  # fmt: skip
            page = site_client.get(path, params={name: query}, headers={"Accept": "text/html"})
            assert page.status_code in (200, 303), (path, name, query, page.text[:200])
            assert "<script>window" not in page.text
            assert "50337" not in page.text


def test_pages_carry_their_headers(site_client: httpx.Client) -> None:
    for path in ("/dashboard", "/conversations", "/sign-in", "/nowhere"):
        answer = site_client.get(path, headers={"Accept": "text/html"}, follow_redirects=False)
        policy = answer.headers["content-security-policy"]
        if answer.status_code != 303:
            assert "script-src 'self'" in policy
            assert "unsafe" not in policy
            assert "style=" not in answer.text
            assert " on" + "click=" not in answer.text
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["cache-control"] == "no-store"
    style = site_client.get("/static/parley.css")
    assert style.headers["cache-control"] == "public, max-age=31536000, immutable"
    for path in ("/static/../view.py", "/static/%2e%2e/view.py", "/static/nothing.js"):
        assert site_client.get(path).status_code == 404
