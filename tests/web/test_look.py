"""How the pages look: axe finds nothing serious in light and dark, nothing is wider than a phone, and pictures of them
are left in `.parley/screens/` for people."""

from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.web.conftest import LAPTOP, PHONE, Visits

SOME = (
    "/sign-in",
    "/dashboard",
    "/conversations?q=parcel&where=csat+%3E+2",
    "/conversations?where=chanel+%3D+call",
    "/conversations/{call}",
    "/conversations/{failed}",
)
"""In the other schemes and on phones: every kind of thing a page shows."""
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
    for path in PAGES if (scheme, viewport) == ("light", LAPTOP) else SOME:
        if path == PAGES[1]:
            visit.sign_in()
        visit.go(path.format(**visit.site.seeded.ids))
        for details in visit.page.locator("details:not(.menu)").all():
            details.evaluate("box => box.open = true")
        result = axe.run(visit.page, options={"resultTypes": ["violations"]})
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


# -- pictures ------------------------------------------------------------------------------------------------

PICTURED = {
    "dashboard": "/dashboard",
    "conversations": "/conversations?q=parcel",
    "conversation": "/conversations/{call}",
}
KINDS: dict[str, dict[str, Any]] = {
    "laptop-light": {"viewport": LAPTOP, "color_scheme": "light"},
    "laptop-dark": {"viewport": LAPTOP, "color_scheme": "dark"},
    "phone": {"viewport": PHONE, "color_scheme": "light", "has_touch": True, "device_scale_factor": 2},
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_pages_are_pictured(visits: Visits, screens: Path, kind: str) -> None:
    visit = visits.open(**KINDS[kind])
    visit.sign_in()
    for name, path in PICTURED.items():
        visit.go(path.format(call=visit.site.seeded["call"]))
        visit.page.wait_for_load_state("networkidle")
        picture = screens / f"{name}-{kind}.png"
        visit.page.screenshot(path=picture, full_page=True)
        assert picture.stat().st_size > 10_000
        # Nothing is wider than the screen.
        width, seen = visit.page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert width <= seen, f"{name} on {kind} is {width} wide"
