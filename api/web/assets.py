"""The pages' own styles and scripts: read once, named with the hash of what they hold, kept by browsers for good."""

import hashlib
from functools import cache
from pathlib import Path

from fastapi import APIRouter
from starlette.responses import Response

from domain.errors import NotFound

router = APIRouter(include_in_schema=False)

_FOLDER = Path(__file__).parent / "static"
_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
_FOR_GOOD = {"Cache-Control": "public, max-age=31536000, immutable"}


@cache
def _files() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in _FOLDER.iterdir() if path.suffix in _TYPES}


@cache
def address(name: str) -> str:
    """Where a page finds a file; another address when it holds something else."""
    return f"/static/{name}?v={hashlib.sha256(_files()[name]).hexdigest()[:12]}"


@router.get("/static/{name}")
async def asset(name: str) -> Response:
    content = _files().get(name)
    if content is None:
        raise NotFound("there is no such file")
    return Response(content, headers=_FOR_GOOD, media_type=_TYPES[Path(name).suffix])


@router.get("/favicon.ico")
async def favicon() -> Response:
    """Where browsers look unasked."""
    return Response(_files()["parley.svg"], headers=_FOR_GOOD, media_type=_TYPES[".svg"])
