"""Templates and what every page is sent with. Whatever a conversation holds is escaped: nothing is ever marked safe."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from fastapi import Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse

from api.web import words
from api.web.assets import address
from services.permissions import Permission
from services.sign_in import Person

HEADERS = {
    # Scripts and styles are this service's own files; none stands in a page.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
}


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(asset=address, Permission=Permission)
    environment.filters.update(words.FILTERS)
    return environment


def render(
    request: Request,
    template: str,
    context: Mapping[str, object],
    *,
    person: Person | None = None,
    form: str = "",
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> HTMLResponse:
    """A page. `form`: the token its forms send back."""
    shown = (
        _environment()
        .get_template(template)
        .render(
            person=person,
            form=form,
            path=request.url.path,
            zone=person.tenant.time_zone if person else "UTC",
            **context,
        )
    )
    return HTMLResponse(shown, status, {**HEADERS, **(headers or {})})
