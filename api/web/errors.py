"""Errors as pages, for browsers. Programs get problem documents (`api.problems`)."""

from collections.abc import Mapping
from typing import Any

from fastapi import Request
from starlette.responses import Response

from api.web.view import render
from api.web.visitors import to_sign_in

_TEXTS: Mapping[int, tuple[str, str]] = {
    400: ("That did not work", "The request cannot be read."),
    401: ("Please sign in", "This page is for people who are signed in."),
    403: ("Not for your role", "Ask whoever manages the accounts of your company."),
    404: ("Nothing here", "There is no such page, or it is not yours to see."),
    410: ("It is gone", "What belongs here has been removed, most likely because its time was up."),
    429: ("Too many tries", "Wait a little, then try again."),
    500: ("Something is broken", "This is our mistake. Please report it with the number below."),
    503: ("A part is away", "The service is not complete at the moment. Try again in a few seconds."),
}


def wants_page(scope: Mapping[str, Any]) -> bool:
    """Whether a browser asks, for something that is not the API."""
    if scope["path"].startswith("/v1/"):
        return False
    accept = next((value for name, value in scope["headers"] if name == b"accept"), b"")
    return b"text/html" in accept


def page(scope: Mapping[str, Any], status: int, detail: str, request_id: str, headers: Mapping[str, str]) -> Response:
    """The error as a page; whoever has to sign in is led there."""
    request = Request(dict(scope))
    if status == 401:
        return to_sign_in(request)
    title, usual = _TEXTS.get(status, _TEXTS[400])
    # A defect says nothing but its number, and what is not there says the same whatever was asked for.
    told = usual if status in (404, 405, 500) or not detail else detail[:1].upper() + detail[1:]
    context = {"status": status, "title": title, "told": told.rstrip(".") + ".", "request_id": request_id}
    return render(request, "error.html", context, status=status, headers=headers)
