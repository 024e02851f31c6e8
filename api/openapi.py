"""The OpenAPI document: what FastAPI knows, and what the dependencies know (bodies, scopes, headers, problems).

`python -m api.openapi` prints it; `docs/openapi.json` is that, and the tests compare.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api import problems
from api.auth import TENANT_HEADER, Require, RequirePlatform
from api.body import JsonBody
from api.problems import Problem
from domain.ids import TENANT_ID_PATTERN

_REF = "#/components/schemas/{model}"

_PROBLEMS = {
    "400": "The request cannot be read",
    "401": "No API key, or one that is not known",
    "403": "The key may not do this",
    "404": "Absent, or not this caller's",
    "405": "This address does not take this method",
    "408": "The body did not come in time",
    "409": "Conflict with what is stored",
    "410": "The content is gone",
    "413": "Too large",
    "415": "Not a kind of content that is read here",
    "422": "The input is not valid",
    "429": "The tenant's backlog is too old: come back after Retry-After",
    "503": "A part of the service is away: try again",
}

_DONE = {"200": "The answer", "201": "It is made", "202": "It is accepted, and goes on by itself"}

_KEYED_PROBLEMS = ("400", "401", "403", "404", "405", "422", "503")
_BODY_PROBLEMS = ("408", "409", "413", "415", "429")


def document(app: FastAPI, routers: Sequence[APIRouter]) -> dict[str, Any]:
    """The OpenAPI document of the application, built once."""
    if app.openapi_schema is None:
        routes = [route for router in routers for route in router.routes if isinstance(route, APIRoute)]
        app.openapi_schema = _build(app, [route for route in routes if route.include_in_schema])
    return app.openapi_schema


def _build(app: FastAPI, routes: list[APIRoute]) -> dict[str, Any]:
    schema = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=routes, tags=app.openapi_tags
    )
    components = schema.setdefault("components", {})
    schemas: dict[str, Any] = components.setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    bodies = _bodies(routes)
    models: list[type[BaseModel]] = [Problem, *(body.model for body in bodies.values())]
    references, definitions = models_json_schema([(model, "validation") for model in models], ref_template=_REF)
    schemas.update(definitions["$defs"])
    components["securitySchemes"] = {
        "apiKey": {"type": "http", "scheme": "bearer", "description": "An API key: Authorization: Bearer parley_…"}
    }
    for route in routes:
        for method in route.methods or ():
            operation = schema["paths"][route.path][method.lower()]
            _complete(operation, route, bodies, references)
    return schema


def _complete(
    operation: dict[str, Any], route: APIRoute, bodies: dict[str, JsonBody[BaseModel]], references: Any
) -> None:
    requirement = next(_found(route.dependant, (Require, RequirePlatform)), None)
    signed = operation.pop("x-token", False)
    if requirement is not None or signed:
        operation["security"] = [{"apiKey": []}] + ([{}] if signed else [])
        operation["x-scopes"] = [scope.value for scope in requirement.scopes] if requirement else ["ingest"]
    if isinstance(requirement, Require) or signed:
        operation.setdefault("parameters", []).append(_tenant_parameter())
    body = bodies.get(route.unique_id)
    as_bytes: Sequence[str] = operation.pop("x-bytes", ())
    if body is not None:
        reference = references[(body.model, "validation")]
        operation["requestBody"] = _request_body(reference, body.multipart, required=not body.optional)
    elif as_bytes:
        binary = {"schema": {"type": "string", "format": "binary"}}
        operation["requestBody"] = {"required": True, "content": dict.fromkeys(as_bytes, binary)}
    _problems(operation, keyed=requirement is not None or signed, body=body is not None or bool(as_bytes))


def _request_body(reference: dict[str, Any], multipart: bool, *, required: bool) -> dict[str, Any]:
    content: dict[str, Any] = {"application/json": {"schema": reference}}
    if multipart:
        content["multipart/form-data"] = {
            "schema": {
                "type": "object",
                "required": ["conversation"],
                "properties": {
                    "conversation": {
                        "type": "string",
                        "contentMediaType": "application/json",
                        "description": 'The JSON body; entries of `audio` name their file as {"part": "…"}.',
                    }
                },
                "additionalProperties": {"type": "string", "format": "binary"},
            }
        }
    return {"required": required, "content": content}


def _problems(operation: dict[str, Any], *, keyed: bool, body: bool) -> None:
    responses: dict[str, Any] = operation["responses"]
    if "422" in responses and "HTTPValidationError" in json.dumps(responses["422"]):
        del responses["422"]
    for status, words in _DONE.items():
        if responses.get(status, {}).get("description") == "Successful Response":
            responses[status]["description"] = words
    wanted = (_KEYED_PROBLEMS if keyed else ()) + (_BODY_PROBLEMS if body else ("409", "410") if keyed else ())
    for status in wanted:
        content = {problems.MEDIA_TYPE: {"schema": {"$ref": _REF.format(model="Problem")}}}
        responses.setdefault(status, {"description": _PROBLEMS[status], "content": content})
    operation["responses"] = dict(sorted(responses.items()))


def _tenant_parameter() -> dict[str, Any]:
    return {
        "name": TENANT_HEADER,
        "in": "header",
        "required": False,
        "description": "The tenant to act on, for keys of a partner or of the platform.",
        "schema": {"type": "string", "pattern": TENANT_ID_PATTERN},
    }


def _bodies(routes: list[APIRoute]) -> dict[str, JsonBody[BaseModel]]:
    """The JSON body of each route that takes one, by the route's unique id."""
    return {route.unique_id: body for route in routes for body in _found(route.dependant, (JsonBody,))}


def _found(dependant: Dependant, kinds: tuple[type, ...]) -> Iterator[Any]:
    if isinstance(dependant.call, kinds):
        yield dependant.call
    for inner in dependant.dependencies:
        yield from _found(inner, kinds)


def text(app: FastAPI) -> str:
    """As it is kept in `docs/openapi.json`."""
    return json.dumps(app.openapi(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    from api.app import bare_app

    sys.stdout.write(text(bare_app()))
