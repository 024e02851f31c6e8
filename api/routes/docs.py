"""The API reference for people."""

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from api import reference

router = APIRouter()

_HEADERS = {
    # The page's own style sheet and nothing else.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "Cache-Control": "max-age=300",
}


@router.get("/docs", include_in_schema=False)
async def api_reference(request: Request) -> HTMLResponse:
    """Rendered once per process."""
    state = request.app.state
    if not hasattr(state, "reference"):
        state.reference = reference.page(request.app.openapi())
    return HTMLResponse(state.reference, headers=_HEADERS)
