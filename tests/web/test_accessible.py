"""axe finds nothing serious on any page, in light and dark, and nothing is wider than a phone."""

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.web.conftest import LAPTOP, PHONE, Visits

ON_PHONES = ("/sign-in", "/dashboard", "/conversations?q=parcel&where=csat+%3E+2", "/conversations/{call}")
PAGES = (
    "/sign-in",
    "/dashboard",
    "/dashboard?channel=call",
    "/dashboard?from=2020-01-01&to=2020-02-01",
    "/conversations",
    "/conversations?q=parcel&where=csat+%3E+2",
    "/conversations?where=chanel+%3D+call",
    "/conversations/{call}",
    "/conversations/{chat}",
    "/conversations/{attack}",
    "/conversations/{failed}",
    "/conversations/{short}",
    "/account",
)


@pytest.mark.parametrize(
    ("scheme", "viewport"), [("light", LAPTOP), ("dark", LAPTOP), ("light", PHONE), ("dark", PHONE)]
)
def test_nothing_serious_is_found(visits: Visits, scheme: str, viewport: dict[str, int]) -> None:
    visit = visits.open(color_scheme=scheme, viewport=viewport, reduced_motion="reduce")
    axe = Axe()
    found: list[str] = []
    visit.go("/sign-in?tenant=harbour")
    for path in PAGES if viewport == LAPTOP else ON_PHONES:
        if path == PAGES[1]:
            visit.sign_in()
        visit.go(path.format(**visit.site.seeded.ids))
        for details in visit.page.locator("details:not(.menu)").all():
            details.evaluate("box => box.open = true")
        result = axe.run(visit.page)
        found += [
            f"{path}: {violation['id']} ({violation['impact']}) {[node['target'] for node in violation['nodes']][:3]}"
            for violation in result.response["violations"]
            if violation["impact"] in ("serious", "critical")
        ]
        width, seen = visit.page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        if width > seen:
            found.append(f"{path}: {width} wide on a screen of {seen}")
    assert found == []


def test_the_check_finds_mistakes(visits: Visits) -> None:
    visit = visits.open()
    visit.go("/sign-in")
    visit.page.evaluate("document.querySelector('label').replaceWith(document.querySelector('label input'))")
    ids = {violation["id"] for violation in Axe().run(visit.page).response["violations"]}
    assert "label" in ids
