"""The recording: the transcript follows it, a click jumps, several files are chosen from, every look is recorded."""

import re

import httpx
import psycopg
import pytest
from playwright.sync_api import Page, expect

from tests.support.stack import DatabaseUrls
from tests.web.conftest import Visit

LOOKS = "select actor, after from audit_event where action = 'conversation.audio.listen' and subject = %s order by at"


def looks(database: DatabaseUrls, conversation_id: str) -> list[tuple[str, dict[str, int]]]:
    with psycopg.connect(database.admin) as connection:
        return [(str(a), dict(b)) for a, b in connection.execute(LOOKS, (conversation_id,)).fetchall()]


def wait_until(page: Page, holds: str) -> None:
    """Until something holds of the player. (Playwright's own way to wait needs `eval`, which the pages forbid.)"""
    for _ in range(300):
        if page.evaluate(f"(audio => {holds})(document.querySelector('audio'))"):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never held: {holds}")


def wait_until_loaded(page: Page) -> None:
    wait_until(page, "audio.readyState >= 1")


def test_the_transcript_follows_and_a_click_jumps(visit: Visit, database: DatabaseUrls) -> None:
    page, call = visit.page, visit.site.seeded["call"]
    visit.sign_in("tenant_admin")
    visit.go(f"/conversations/{call}")
    page.wait_for_load_state("networkidle")
    assert looks(database, call) == []  # opening the page is no look
    page.get_by_role("button", name="Play from 0:07").click()
    wait_until_loaded(page)
    expect(page.locator(".turn.playing")).to_have_attribute("data-number", "4")
    expect(page.locator(".turn.playing")).to_have_attribute("aria-current", "true")
    assert page.evaluate("document.querySelector('audio').currentTime") >= 7
    # It goes on to the next turn by itself.
    expect(page.locator(".turn.playing")).to_have_attribute("data-number", "5")
    page.evaluate("document.querySelector('audio').pause()")
    page.evaluate("document.querySelector('audio').currentTime = 2.5")
    expect(page.locator(".turn.playing")).to_have_attribute("data-number", "2")
    expect(page.locator(".turn.playing")).to_have_count(1)
    (look,) = looks(database, call)
    assert look[0].startswith("user:")
    assert look[1] == {"revision": 1, "file": 1}


def test_of_several_files_one_is_chosen_and_keeps_the_place(visit: Visit, database: DatabaseUrls) -> None:
    page, call = visit.page, visit.site.seeded["two files"]
    visit.sign_in()
    visit.go(f"/conversations/{call}")
    page.get_by_role("button", name="Play from 0:06").click()
    wait_until_loaded(page)
    page.evaluate("document.querySelector('audio').pause()")
    page.get_by_label("File").select_option(label="2: Customer")
    page.get_by_role("button", name="Play from 0:06").click()
    wait_until_loaded(page)
    # The second file begins 1.5 s into the call.
    wait_until(page, "audio.currentTime >= 4.4")
    assert page.evaluate("document.querySelector('audio').currentTime") < 6
    assert [look[1]["file"] for look in looks(database, call)] == [1, 2]


def test_who_may_not_hear_originals_is_told_and_refused(visit: Visit, site_client: httpx.Client) -> None:
    call = visit.site.seeded["call"]
    visit.sign_in("viewer")
    visit.go(f"/conversations/{call}")
    expect(visit.page.locator("audio")).to_have_count(0)
    expect(visit.page.locator("#words")).to_contain_text("the recording is for roles that may hear originals")
    cookies = {c["name"]: c["value"] for c in visit.page.context.cookies()}
    answer = httpx.get(f"{visit.site.url}/conversations/{call}/audio/1", cookies=cookies)
    assert answer.status_code == 403
    assert httpx.get(f"{visit.site.url}/conversations/{call}/audio/1").status_code == 401


@pytest.mark.parametrize(
    ("wanted", "status", "content_range"),
    [
        (None, 200, None),
        ("bytes=0-", 206, "bytes 0-{last}/{size}"),
        ("bytes=100-199", 206, "bytes 100-199/{size}"),
        ("bytes=-50", 206, "bytes {minus50}-{last}/{size}"),
        ("bytes=190000-999999999", 206, "bytes 190000-{last}/{size}"),
        ("bytes=999999999-", 416, "bytes */{size}"),
        ("bytes=-0", 416, "bytes */{size}"),
        ("bytes=5-2", 200, None),
        ("bytes=0-1,5-6", 200, None),
        ("lines=1-2", 200, None),
    ],
)
def test_stretches_are_what_was_asked_for(
    site_client: httpx.Client, call_id: str, wanted: str | None, status: int, content_range: str | None
) -> None:
    path = f"/conversations/{call_id}/audio/1"
    whole = site_client.get(path)
    assert (whole.status_code, whole.headers["content-type"]) == (200, "audio/wav")
    size = len(whole.content)
    assert whole.content[:4] == b"RIFF"
    answer = site_client.get(path, headers={"Range": wanted} if wanted else {})
    assert answer.status_code == status
    if content_range is not None:
        expected = content_range.format(size=size, last=size - 1, minus50=size - 50)
        assert answer.headers["content-range"] == expected
    if status == 206:
        first, last = map(int, re.findall(r"(\d+)-(\d+)/", answer.headers["content-range"])[0])
        assert answer.content == whole.content[first : last + 1]


@pytest.mark.parametrize("number", ["0", "2", "-1", "99999999999999999999"])
def test_files_there_are_not(site_client: httpx.Client, call_id: str, number: str) -> None:
    assert site_client.get(f"/conversations/{call_id}/audio/{number}").status_code in (404, 422)
