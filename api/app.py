"""The application: routes, errors and the one middleware around them."""

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fastapi import APIRouter, FastAPI

from api import openapi, problems
from api.middleware import Around
from api.routes import (
    catalogue,
    conversations,
    dashboard,
    dead_letters,
    docs,
    engines,
    health,
    imports,
    platform,
    reading,
    search,
    sources,
    uploads,
    users,
)
from api.web import assets, doors
from api.web import conversation as conversation_page
from api.web import conversations as conversations_page
from api.web import dashboard as dashboard_page
from services.facade import ApiServices

ROUTERS: tuple[APIRouter, ...] = (
    conversations.router,
    reading.router,
    uploads.router,
    imports.router,
    search.router,
    sources.router,
    dashboard.router,
    dead_letters.router,
    catalogue.router,
    users.router,
    engines.router,
    platform.router,
    health.router,
    docs.router,
)

PAGES: tuple[APIRouter, ...] = (
    doors.router,
    dashboard_page.router,
    conversations_page.router,
    conversation_page.router,
    assets.router,
)
"""For people. They have sessions instead of keys, and stand in no document."""

DESCRIPTION = """\
Hand in customer conversations, and read typed, evidenced insight values back.

Every request carries an API key (`Authorization: Bearer …`) of one tenant; a partner's or the platform's key names the
tenant in the header `Parley-Tenant`. Errors are RFC 9457 problem documents. Every POST that changes something takes an
`Idempotency-Key`. Lists take `limit` (at most 200) and the `cursor` that the page before gave as `next_cursor`."""


def create_app(services: ApiServices) -> FastAPI:
    """The application over these services; it owns none of them and closes nothing."""
    app = bare_app(hsts=services.caps.public_url.startswith("https://"))
    app.state.services = services
    return app


def bare_app(*, hsts: bool = False) -> FastAPI:
    """The application without anything behind it: enough to describe itself."""
    app = _Application(
        title="Parley",
        version=_version(),
        description=DESCRIPTION,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
    )
    problems.install(app)
    for router in (*ROUTERS, *PAGES):
        app.include_router(router)
    app.add_middleware(Around, hsts=hsts)
    return app


class _Application(FastAPI):
    def openapi(self) -> dict[str, Any]:
        return openapi.document(self, ROUTERS)


def _version() -> str:
    try:
        return version("parley")
    except PackageNotFoundError:
        return "0"
