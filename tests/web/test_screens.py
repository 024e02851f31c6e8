"""Pictures of the pages, for people: light and dark on a laptop, and on a phone."""

from pathlib import Path

import pytest

from tests.web.conftest import LAPTOP, PHONE, Visits

PAGES = {"dashboard": "/dashboard", "conversations": "/conversations?q=parcel", "conversation": "/conversations/{call}"}
KINDS = {
    "laptop-light": {"viewport": LAPTOP, "color_scheme": "light"},
    "laptop-dark": {"viewport": LAPTOP, "color_scheme": "dark"},
    "phone": {"viewport": PHONE, "color_scheme": "light", "has_touch": True, "device_scale_factor": 2},
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_pages_are_pictured(visits: Visits, screens: Path, kind: str) -> None:
    visit = visits.open(**KINDS[kind])
    visit.sign_in()
    for name, path in PAGES.items():
        visit.go(path.format(call=visit.site.seeded["call"]))
        visit.page.wait_for_load_state("networkidle")
        picture = screens / f"{name}-{kind}.png"
        visit.page.screenshot(path=picture, full_page=True)
        assert picture.stat().st_size > 10_000
        # Nothing is wider than the screen.
        width, seen = visit.page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert width <= seen, f"{name} on {kind} is {width} wide"
