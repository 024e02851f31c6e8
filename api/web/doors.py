"""The way in and out: front page, signing in, signing out, one's own password."""

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

from api.auth import origin_of
from api.deps import Services
from api.web.view import render
from api.web.visitors import (
    HOME,
    SIGN_IN,
    Needs,
    Visitor,
    forget,
    form_token,
    keep_visit,
    place,
    read_form,
    remember,
    visit_of,
    visitor_of,
)
from domain.errors import Forbidden, InvalidInput, LimitExceeded, Unauthenticated
from domain.people import MIN_PASSWORD
from services.sign_in import Person

router = APIRouter(include_in_schema=False)

Anybody = Annotated[Visitor, Depends(Needs())]


@router.get("/")
async def front() -> Response:
    """The dashboard; whoever is not signed in is asked to by it."""
    return RedirectResponse(HOME, status_code=303)


@router.get(SIGN_IN)
async def sign_in_page(request: Request) -> Response:
    if await visitor_of(request) is not None:
        return RedirectResponse(place(request.query_params.get("next")), status_code=303)
    query = request.query_params
    return _sign_in_form(request, query.get("tenant", "")[:63], "", place(query.get("next")))


@router.post(SIGN_IN)
async def sign_in(request: Request, services: Services) -> Response:
    visit = visit_of(request)
    try:
        form = await read_form(request, form_token(visit))
    except Forbidden:
        return _sign_in_form(request, "", "", HOME, problem="The page was open for too long. Please try again.")
    slug, email = form.get("tenant", "").strip(), form.get("email", "").strip()
    goal = place(form.get("next"))
    try:
        done = await services.sign_in.sign_in(slug, email, form.get("password", ""), origin=origin_of(request))
    except Unauthenticated as error:
        return _sign_in_form(request, slug, email, goal, problem=f"{error.message.capitalize()}.", status=403)
    except LimitExceeded as error:
        problem = f"Too many tries. Wait {_wait(error.retry_after)}, then try again."
        return _sign_in_form(request, slug, email, goal, problem=problem, status=429, wait=error.retry_after)
    response = RedirectResponse(goal, status_code=303)
    remember(request, response, done)
    return response


@router.post("/sign-out")
async def sign_out(request: Request, visitor: Anybody, services: Services) -> Response:
    await read_form(request, visitor.form)
    await services.sign_in.sign_out(visitor.person, origin=visitor.origin)
    response = RedirectResponse(f"{SIGN_IN}?{urlencode({'tenant': visitor.person.tenant.slug})}", status_code=303)
    forget(request, response)
    return response


@router.get("/account")
async def account(request: Request, visitor: Anybody) -> Response:
    return _account_form(request, visitor.person, visitor.form)


@router.post("/account")
async def change_password(request: Request, visitor: Anybody, services: Services) -> Response:
    form = await read_form(request, visitor.form)
    old, new, again = (form.get(name, "") for name in ("old", "new", "again"))
    problems: dict[str, str] = {}
    if new != again:
        problems["again"] = "is not the same as the new one"
    else:
        try:
            done = await services.sign_in.change_password(visitor.person, old, new, origin=visitor.origin)
        except InvalidInput as error:
            problems = {problem.field: problem.reason for problem in error.problems}
        except LimitExceeded as error:
            problems["old"] = f"was wrong too often: wait {_wait(error.retry_after)}"
        else:
            token = form_token(done.token.get_secret_value())
            response = _account_form(request, done.person, token, done="Your password is changed.")
            remember(request, response, done)
            return response
    return _account_form(request, visitor.person, visitor.form, problems=problems, status=422)


def _sign_in_form(
    request: Request,
    tenant: str,
    email: str,
    goal: str,
    *,
    problem: str = "",
    status: int = 200,
    wait: float = 0,
) -> Response:
    visit = visit_of(request)
    headers = {"Retry-After": str(max(1, round(wait)))} if wait else None
    context = {"tenant": tenant, "email": email, "goal": goal, "problem": problem}
    response = render(request, "sign_in.html", context, form=form_token(visit), status=status, headers=headers)
    keep_visit(request, response, visit)
    return response


def _account_form(
    request: Request,
    person: Person,
    form: str,
    *,
    problems: dict[str, str] | None = None,
    done: str = "",
    status: int = 200,
) -> Response:
    context = {"problems": problems or {}, "done": done, "least": MIN_PASSWORD}
    return render(request, "account.html", context, person=person, form=form, status=status)


def _wait(seconds: float) -> str:
    return f"{max(1, round(seconds))} seconds" if seconds < 90 else f"{round(seconds / 60)} minutes"
