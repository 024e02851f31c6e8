"""Handing in and changing conversations."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel
from starlette.responses import Response

from api.auth import Caller
from api.body import JsonBody, JsonOrMultipart, Received
from api.deps import ConversationId, IdempotencyKey, Ingester, IngesterWithRoom, Operator, Services, WaitSeconds
from api.idempotency import once
from api.links import conversation_links
from api.routes.hand_in import read_hand_in
from api.schemas.conversations import AcceptedOut, ConversationOut, EnteredOut, RerunIn
from domain.errors import Unavailable
from domain.intake import ConversationIn, ConversationPatch, MessagesIn
from services.accept_conversation import Acceptance
from services.facade import ApiServices

router = APIRouter(prefix="/v1/conversations", tags=["conversations"])

UNCHANGED = "unchanged"

_waiting = asyncio.Semaphore(100)
"""Requests that wait for a run at the same time; beyond these the answer comes without waiting."""


@router.post(
    "",
    status_code=202,
    response_model=AcceptedOut,
    responses={200: {"model": AcceptedOut, "description": "The same content is here already: nothing was done."}},
)
async def hand_in_conversation(
    request: Request,
    caller: IngesterWithRoom,
    services: Services,
    body: Annotated[Received[ConversationIn] | None, Depends(JsonOrMultipart(ConversationIn))],
    key: IdempotencyKey = None,
    wait: WaitSeconds = 0,
) -> Response:
    """Hand in a conversation.

    It is stored before the answer comes, and its analysis goes on by itself. The same (source, external_id) with the
    same content again changes nothing; with other content it makes the next revision.
    """
    if body is None:
        return await _hand_in_with_audio(request, caller, services, wait)

    async def accept() -> tuple[int, BaseModel]:
        acceptance = await services.accept.accept(caller.tenant_id, body.value)
        request.scope["parley.conversation"] = acceptance.conversation.id
        return await _accepted(services, caller, acceptance, wait)

    return await once(request, caller, body.raw, accept)


async def _hand_in_with_audio(request: Request, caller: Caller, services: ApiServices, wait: float) -> Response:
    hand_in = await read_hand_in(request, services, caller.tenant_id)
    kept = False

    async def accept() -> tuple[int, BaseModel]:
        nonlocal kept
        await hand_in.audio.register()
        acceptance = await services.accept.accept(caller.tenant_id, hand_in.intake)
        request.scope["parley.conversation"] = acceptance.conversation.id
        kept = acceptance.outcome.value != UNCHANGED
        return await _accepted(services, caller, acceptance, wait)

    try:
        return await once(request, caller, hand_in.content, accept)
    finally:
        if not kept:  # refused, replayed, or the same audio again: nothing refers to these bytes
            await hand_in.audio.discard()


@router.post(
    "/{conversation_id}/messages",
    status_code=202,
    response_model=AcceptedOut,
    responses={200: {"model": AcceptedOut, "description": "The messages are here already: nothing was done."}},
)
async def add_messages(
    request: Request,
    conversation_id: ConversationId,
    caller: IngesterWithRoom,
    services: Services,
    body: Annotated[Received[MessagesIn], Depends(JsonBody(MessagesIn))],
    key: IdempotencyKey = None,
    wait: WaitSeconds = 0,
) -> Response:
    """Add messages to a thread: its next revision, analysed once the thread has settled."""

    async def add() -> tuple[int, BaseModel]:
        acceptance = await services.accept.add_messages(caller.tenant_id, conversation_id, body.value)
        return await _accepted(services, caller, acceptance, wait)

    return await once(request, caller, body.raw, add)


@router.patch("/{conversation_id}", response_model=ConversationOut)
async def correct_conversation(
    conversation_id: ConversationId,
    caller: Ingester,
    services: Services,
    body: Annotated[Received[ConversationPatch], Depends(JsonBody(ConversationPatch))],
) -> ConversationOut:
    """Late facts: metadata, dispositions, participants. No new revision; tasks that read a changed fact run again."""
    await services.correct.patch(
        caller.tenant_id, conversation_id, body.value, actor=caller.actor, origin=caller.origin
    )
    return await conversation_out(services, caller, conversation_id)


@router.post("/{conversation_id}/rerun", status_code=202, response_model=EnteredOut)
async def rerun_conversation(
    request: Request,
    conversation_id: ConversationId,
    caller: Operator,
    services: Services,
    body: Annotated[Received[RerunIn], Depends(JsonBody(RerunIn, optional=True))],
    key: IdempotencyKey = None,
) -> Response:
    """Run again from a stage. What has not changed is not paid for again; a person's values stay."""

    async def rerun() -> tuple[int, BaseModel]:
        entry = await services.reenter.rerun(
            caller.tenant_id, conversation_id, tasks=body.value.tasks, from_stage=body.value.from_stage
        )
        return 202, EnteredOut(
            conversation_id=conversation_id,
            revision=entry.run.revision,
            entry=entry.run.entry,
            enter_at=entry.enter_at,
            links=conversation_links(services, conversation_id, entry.channel, run=entry.run),
        )

    return await once(request, caller, body.raw, rerun)


async def conversation_out(services: ApiServices, caller: Caller, conversation_id: str) -> ConversationOut:
    """The conversation as this caller may see it. Raises NotFound."""
    overview = await services.read.overview(caller.tenant_id, conversation_id, sensitive=caller.operates)
    run = overview.entry.run if overview.entry and caller.operates else None
    links = conversation_links(services, conversation_id, overview.conversation.channel, run=run)
    return ConversationOut.of_overview(overview, links)


async def _accepted(
    services: ApiServices, caller: Caller, acceptance: Acceptance, wait: float
) -> tuple[int, AcceptedOut]:
    """202 when something was done, 200 when the content was here already."""
    conversation, entry = acceptance.conversation, acceptance.entry
    shown = None
    if wait > 0:
        if entry is not None:
            await _wait_for_end(services, acceptance, wait)
        shown = await conversation_out(services, caller, conversation.id)
    out = AcceptedOut(
        id=conversation.id,
        outcome=acceptance.outcome.value,
        status=shown.status if shown else conversation.status,
        revision=conversation.revision,
        started=acceptance.started,
        links=conversation_links(
            services, conversation.id, conversation.channel, run=entry.run if entry and caller.operates else None
        ),
        conversation=shown,
    )
    return (200 if out.outcome == UNCHANGED else 202), out


async def _wait_for_end(services: ApiServices, acceptance: Acceptance, seconds: float) -> None:
    """Until the run has ended, the time is up, or Temporal does not answer."""
    assert acceptance.entry is not None
    if _waiting.locked():
        return
    async with _waiting:
        try:
            await services.orchestrator.wait(acceptance.entry.run, seconds)
        except Unavailable:
            return
