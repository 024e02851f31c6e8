"""Errors as RFC 9457 problem documents: the one place that turns the domain's errors into HTTP answers."""

import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from api.body import BodyTimeout, Gone
from domain import errors
from domain.strict_json import MalformedBody, invalid

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 5
"""Retry-After of an answer that says a part is away."""


class FieldError(BaseModel):
    """One thing wrong with one field; `field` is a path such as `messages[3].at`, or the name of a header."""

    field: str
    reason: str


class Problem(BaseModel):
    """RFC 9457. `code` is stable and means what `type` means; `request_id` finds the request in the log."""

    type: str = Field(examples=["urn:parley:problem:invalid_input"])
    title: str = Field(examples=["The input is not valid"])
    status: int = Field(examples=[422])
    detail: str
    code: str = Field(examples=["invalid_input"])
    request_id: str
    retryable: bool = Field(description="Whether the same request may succeed later.")
    errors: list[FieldError] = Field(default=[], description="What is wrong with which field.")


STATUS: dict[type[errors.ParleyError], int] = {
    MalformedBody: 400,
    Gone: 400,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    BodyTimeout: 408,
    errors.Conflict: 409,
    errors.Superseded: 409,
    errors.ContentMissing: 410,
    errors.TooLarge: 413,
    errors.UnsupportedMedia: 415,
    errors.InvalidInput: 422,
    errors.UndecodableContent: 422,
    errors.LimitExceeded: 429,
    errors.Unavailable: 503,
    errors.EngineUnavailable: 503,
    errors.EngineTimeout: 503,
    errors.EngineRateLimited: 503,
}
"""By the nearest class; everything else is a defect: 500."""

_HTTP_TEXTS = {
    404: ("not_found", "There is nothing at this address."),
    405: ("method_not_allowed", "This address does not take this method."),
    400: ("malformed_body", "The request cannot be read."),
}


def install(app: FastAPI) -> None:
    """Every error of every route becomes a problem document; what is no ParleyError is caught in `api.middleware`."""
    app.add_exception_handler(errors.ParleyError, _parley_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)


def status_of(error: errors.ParleyError) -> int:
    """The HTTP status of an error."""
    for kind in type(error).__mro__:
        if kind in STATUS:
            return STATUS[kind]
    return 500


def of_error(error: errors.ParleyError, request_id: str) -> Response:
    """The problem document of an error. A defect says nothing but its request id."""
    status = status_of(error)
    if status == 500:
        return defect(request_id)
    fields = error.problems if isinstance(error, errors.InvalidInput) else ()
    return response(
        Problem(
            type=f"urn:parley:problem:{error.code}",
            title=error.title,
            status=status,
            detail=error.message,
            code=error.code,
            request_id=request_id,
            retryable=error.retryable,
            errors=[FieldError(field=p.field, reason=p.reason) for p in fields],
        ),
        _headers(error, status),
    )


def defect(request_id: str) -> Response:
    """The answer to what should not have happened."""
    return response(
        Problem(
            type="urn:parley:problem:internal",
            title=errors.ParleyError.title,
            status=500,
            detail="This is a defect. Please report it with the request id.",
            code="internal",
            request_id=request_id,
            retryable=False,
        )
    )


def response(problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    return Response(problem.model_dump_json(), problem.status, headers, MEDIA_TYPE)


def _headers(error: errors.ParleyError, status: int) -> dict[str, str]:
    if status == 401:
        return {"WWW-Authenticate": 'Bearer realm="parley"'}
    if isinstance(error, errors.LimitExceeded):
        return {"Retry-After": str(math.ceil(error.retry_after))}
    if status == 503 or (status == 409 and error.retryable):
        return {"Retry-After": str(RETRY_SECONDS)}
    return {}


async def _parley_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, errors.ParleyError)
    if status_of(error) == 500:
        raise error  # logged by the middleware, like every other defect
    return of_error(error, request_id_of(request.scope))


async def _validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    # FastAPI's locations start with where the value came from: query, path, header.
    return of_error(invalid(list(error.errors()), skip=1), request_id_of(request.scope))


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code, detail = _HTTP_TEXTS.get(error.status_code, ("http_error", HTTPStatus(error.status_code).phrase))
    problem = Problem(
        type=f"urn:parley:problem:{code}",
        title=HTTPStatus(error.status_code).phrase,
        status=error.status_code,
        detail=detail,
        code=code,
        request_id=request_id_of(request.scope),
        retryable=False,
    )
    return response(problem, error.headers)


def request_id_of(scope: Mapping[str, Any]) -> str:
    """The id the middleware gave the request."""
    return str(scope.get("parley.request_id", ""))
