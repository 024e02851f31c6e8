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
from api.schemas.sources import EventOut
from domain.conversation import Slug

router = APIRouter(prefix="/v1/dead-letters", tags=["dead letters"])


class DeadLetterQuery(PageQuery):
    all: bool = Field(default=False, description="Also those that were re-driven.")
    source: Slug | None = Field(default=None, description="Only those about events of this source.")


@router.get("", response_model=ListOut[DeadLetterOut])
async def list_dead_letters(
    caller: Operator, services: Services, query: Annotated[DeadLetterQuery, Query()]
) -> ListOut[DeadLetterOut]:
    """What failed for good, newest first."""
    found = await services.dead_letters.list(
        caller.tenant_id,
        open_only=not query.all,
        limit=query.limit,
        after=cursors.decode(query.cursor),
        source=query.source,
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
    """Enter the conversation again at the stage that failed; of an event: read it again, as its source is configured
    now. 409 when that was done, or a newer revision is here."""

    async def redrive() -> tuple[int, BaseModel]:
        letter = await services.dead_letters.get(caller.tenant_id, dead_letter_id)
        if letter.event_id is not None:
            receipt = await services.events.redrive(caller.tenant_id, dead_letter_id, actor=caller.actor)
            return 202, RedrivenOut(dead_letter_id=dead_letter_id, enter_at=letter.stage, event=EventOut.of(receipt))
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


@router.get(
    "/{dead_letter_id}/body",
    response_class=Response,
    responses={200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}},
)
async def get_dead_letter_body(dead_letter_id: DeadLetterId, caller: Operator, services: Services) -> Response:
    """The raw body of an event that could not be read, as it was sent. Every look is on the audit trail."""
    body = await services.events.body(caller.tenant_id, dead_letter_id, actor=caller.actor, origin=caller.origin)
    headers = {"Content-Disposition": f'attachment; filename="{dead_letter_id}"'}
    return Response(body, headers=headers, media_type="application/octet-stream")
