"""Search over conversations."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from api.body import JsonBody, Received
from api.deps import Reader, Services
from api.schemas.search import SearchOut, SearchQueryIn
from services.search import SearchRequest

router = APIRouter(prefix="/v1/search", tags=["search"])

_MAX_REQUEST = 256 * 1024


@router.get("", response_model=SearchOut)
async def search(caller: Reader, services: Services, query: Annotated[SearchQueryIn, Query()]) -> SearchOut:
    """Words and a filter in its text form: `?query="late delivery"&where=channel = call and csat < 3`."""
    result = await services.search.search(caller.tenant_id, query.request(), may_see_sensitive=caller.operates)
    return SearchOut.of(result)


@router.post("", response_model=SearchOut)
async def search_by_body(
    caller: Reader,
    services: Services,
    body: Annotated[Received[SearchRequest], Depends(JsonBody(SearchRequest, limit=_MAX_REQUEST))],
) -> SearchOut:
    """As GET, with room for long filters and their JSON form. Changes nothing, so it needs no Idempotency-Key."""
    result = await services.search.search(caller.tenant_id, body.value, may_see_sensitive=caller.operates)
    return SearchOut.of(result)
