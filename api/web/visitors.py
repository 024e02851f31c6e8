"""Who is at the door: session cookies, the tokens of forms, and where somebody goes after signing in."""

import base64
import hmac
import re
import secrets
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

from fastapi import Request
from starlette.responses import RedirectResponse, Response

from api.auth import origin_of
from api.body import read_body
from domain.errors import Forbidden, Unauthenticated, UnsupportedMedia
from services.facade import ApiServices
from services.permissions import Permission
from services.sign_in import Person, SignedIn

HOME = "/dashboard"
SIGN_IN = "/sign-in"

_SESSION, _VISIT = "parley_session", "parley_visit"
_FORM_BYTES = 16 * 1024
# A path of ours and a query: never another host, however browsers read slashes.
_PLACE = re.compile(r"/(?![/\\])[A-Za-z0-9/_.~-]*(\?[A-Za-z0-9_.~%+&=/:,()'*!-]*)?")


@dataclass(frozen=True)
class Visitor:
    """Somebody who is signed in. form: the token of this session's forms."""

    person: Person
    form: str
    origin: str | None

    @property
    def tenant_id(self) -> str:
        return self.person.tenant.id

    def may(self, permission: Permission) -> bool:
        return self.person.may(permission)


class Needs:
    """Dependency of every page: somebody signed in whose role may see it. The tests read the permissions from here."""

    def __init__(self, *permissions: Permission) -> None:
        self.permissions = permissions

    async def __call__(self, request: Request) -> Visitor:
        visitor = await visitor_of(request)
        if visitor is None:
            raise Unauthenticated("sign in to see this page")
        for permission in self.permissions:
            visitor.person.require(permission)
        return visitor


async def visitor_of(request: Request) -> Visitor | None:
    """Raises Unavailable."""
    token = request.cookies.get(_name(request, _SESSION))
    if not token:
        return None
    services: ApiServices = request.app.state.services
    person = await services.sign_in.person(token)
    if person is None:
        return None
    request.scope["parley.tenant"] = person.tenant.id
    request.scope["parley.key"] = person.actor
    return Visitor(person, form_token(token), origin_of(request))


# -- cookies ------------------------------------------------------------------------------------------------


def remember(request: Request, response: Response, signed_in: SignedIn) -> None:
    """The session's cookie: for this host only, out of reach of scripts, gone with the browser."""
    _set(request, response, _SESSION, signed_in.token.get_secret_value())
    _forget(request, response, _VISIT)


def forget(request: Request, response: Response) -> None:
    _forget(request, response, _SESSION)


def visit_of(request: Request) -> str:
    """What the form of somebody who is not signed in is bound to; made on the first visit."""
    known = request.cookies.get(_name(request, _VISIT), "")
    return known if len(known) == 43 else secrets.token_urlsafe(32)


def keep_visit(request: Request, response: Response, visit: str) -> None:
    _set(request, response, _VISIT, visit)


def _set(request: Request, response: Response, name: str, value: str) -> None:
    response.set_cookie(_name(request, name), value, path="/", secure=_secure(request), httponly=True, samesite="lax")


def _forget(request: Request, response: Response, name: str) -> None:
    response.delete_cookie(_name(request, name), path="/", secure=_secure(request), httponly=True, samesite="lax")


def _name(request: Request, name: str) -> str:
    """Over https a browser then takes the cookie from this very host only."""
    return f"__Host-{name}" if _secure(request) else name


def _secure(request: Request) -> bool:
    services: ApiServices = request.app.state.services
    return services.caps.public_url.startswith("https://")


# -- forms --------------------------------------------------------------------------------------------------


def form_token(secret: str) -> str:
    """What a form sends back: made from the cookie, and the cookie cannot be made from it."""
    digest = hmac.digest(secret.encode(), b"parley form", "sha256")
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


async def read_form(request: Request, expected: str) -> dict[str, str]:
    """The fields of a POST that comes from a page of ours. Raises Forbidden, TooLarge, UnsupportedMedia."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise Forbidden("this form was sent from another site")
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/x-www-form-urlencoded":
        raise UnsupportedMedia.of("Content-Type", "is application/x-www-form-urlencoded")
    body = await read_body(request, _FORM_BYTES)
    fields = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=20))
    if not hmac.compare_digest(fields.pop("form", "").encode(), expected.encode()):
        raise Forbidden("the page was open for too long: go back, reload it and try again")
    return fields


# -- ways ---------------------------------------------------------------------------------------------------


def place(wanted: str | None) -> str:
    """Where to go next: a page of this service, or home."""
    if wanted and len(wanted) <= 2_000 and _PLACE.fullmatch(wanted) and not wanted.startswith(SIGN_IN):
        return wanted
    return HOME


def to_sign_in(request: Request) -> Response:
    """Asks for signing in, and remembers what was asked for."""
    query = request.url.query
    wanted = request.url.path + (f"?{query}" if query else "") if request.method == "GET" else HOME
    given = {"next": place(wanted)} | {k: v for k, v in request.query_params.items() if k == "tenant"}
    return RedirectResponse(f"{SIGN_IN}?{urlencode(given)}", status_code=303)
