"""Dead letters."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from api import cursors
from api.deps import DeadLetterId, IdempotencyKey, Operator, Services
from api.idempotency import once
from api.links import conversation_links
from api.routes.reading import PageQuery
from api.schemas.common import ListOut
from api.schemas.dead_letters import DeadLetterOut, RedrivenOut

router = APIRouter(prefix="/v1/dead-letters", tags=["dead letters"])


class DeadLetterQuery(PageQuery):
    all: bool = Field(default=False, description="Also those that were re-driven.")


@router.get("", response_model=ListOut[DeadLetterOut])
async def list_dead_letters(
    caller: Operator, services: Services, query: Annotated[DeadLetterQuery, Query()]
) -> ListOut[DeadLetterOut]:
    """What failed for good, newest first."""
    found = await services.dead_letters.list(
        caller.tenant_id, open_only=not query.all, limit=query.limit, after=cursors.decode(query.cursor)
    )
    return ListOut[DeadLetterOut](
        items=[
            DeadLetterOut.model_validate({name: getattr(letter, name) for name in DeadLetterOut.model_fields})
            for letter in found.items
        ],
        next_cursor=cursors.encode(found.next_after),
    )


@router.get("/{dead_letter_id}", response_model=DeadLetterOut)
async def get_dead_letter(dead_letter_id: DeadLetterId, caller: Operator, services: Services) -> DeadLetterOut:
    letter = await services.dead_letters.get(caller.tenant_id, dead_letter_id)
    return DeadLetterOut.model_validate({name: getattr(letter, name) for name in DeadLetterOut.model_fields})


@router.post("/{dead_letter_id}/redrive", status_code=202, response_model=RedrivenOut)
async def redrive_dead_letter(
    request: Request, dead_letter_id: DeadLetterId, caller: Operator, services: Services, key: IdempotencyKey = None
) -> Response:
    """Enter the conversation again at the stage that failed. 409 when that was done, or a newer revision is here."""

    async def redrive() -> tuple[int, BaseModel]:
        entry = await services.reenter.redrive(caller.tenant_id, dead_letter_id, actor=caller.actor)
        return 202, RedrivenOut(
            dead_letter_id=dead_letter_id,
            conversation_id=entry.run.conversation_id,
            revision=entry.run.revision,
            entry=entry.run.entry,
            enter_at=entry.enter_at,
            links=conversation_links(services, entry.run.conversation_id, entry.channel, run=entry.run),
        )

    return await once(request, caller, b"", redrive)
