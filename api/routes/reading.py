"""Looking at conversations: lists, overviews, words, values, executions, explanations."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from api import cursors
from api.auth import Caller
from api.deps import ConversationId, Reader, Revision, Services
from api.links import conversation_links
from api.routes.conversations import conversation_out
from api.schemas.common import ListOut
from api.schemas.conversations import ConversationOut, ConversationRow
from api.schemas.executions import ExecutionsOut
from api.schemas.explain import ExplanationOut
from api.schemas.values import FieldsOut, ValueOut
from api.schemas.words import RenditionKind, WordsOut
from domain.conversation import Channel, Slug, Status
from domain.errors import NotFound
from services.authenticate import Scope
from services.facade import ApiServices

router = APIRouter(prefix="/v1/conversations", tags=["conversations"])

MAX_LIMIT = 200


class PageQuery(BaseModel):
    """Every list takes these; an unknown parameter is refused, so that a slip of the pen does not list everything."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(default=50, ge=1, le=MAX_LIMIT)
    cursor: str | None = Field(default=None, max_length=500, description="`next_cursor` of the page before.")


class ConversationQuery(PageQuery):
    channel: Channel | None = None
    status: Status | None = None
    source: Slug | None = None
    started_from: AwareDatetime | None = None
    started_to: AwareDatetime | None = Field(default=None, description="Not part of the range.")


@router.get("", response_model=ListOut[ConversationRow])
async def list_conversations(
    caller: Reader, services: Services, query: Annotated[ConversationQuery, Query()]
) -> ListOut[ConversationRow]:
    """Conversations, newest first. For words, metadata and field values, see search."""
    found = await services.read.list(
        caller.tenant_id,
        limit=query.limit,
        after=cursors.decode(query.cursor),
        channel=query.channel,
        status=query.status,
        source=query.source,
        started_from=query.started_from,
        started_to=query.started_to,
    )
    return ListOut[ConversationRow](
        items=[ConversationRow.of(conversation) for conversation in found.items],
        next_cursor=cursors.encode(found.next_after),
    )


@router.get("/{conversation_id}", response_model=ConversationOut)
async def get_conversation(conversation_id: ConversationId, caller: Reader, services: Services) -> ConversationOut:
    """A conversation: status, stages, skipped tasks with reasons, effective values."""
    return await conversation_out(services, caller, conversation_id)


Rendition = Annotated[
    RenditionKind,
    Query(description="The original needs the scope operate besides read, and every look is on the audit trail."),
]


@router.get("/{conversation_id}/thread", response_model=WordsOut)
async def get_thread(
    conversation_id: ConversationId,
    caller: Reader,
    services: Services,
    revision: Revision = None,
    rendition: Rendition = RenditionKind.REDACTED,
) -> WordsOut:
    """The messages of a chat, email thread or ticket as turns, personal data masked."""
    return await _words(services, caller, conversation_id, revision, rendition, call=False)


@router.get("/{conversation_id}/transcript", response_model=WordsOut)
async def get_transcript(
    conversation_id: ConversationId,
    caller: Reader,
    services: Services,
    revision: Revision = None,
    rendition: Rendition = RenditionKind.REDACTED,
) -> WordsOut:
    """The words of a call as turns, personal data masked, with how they came about."""
    return await _words(services, caller, conversation_id, revision, rendition, call=True)


async def _words(
    services: ApiServices,
    caller: Caller,
    conversation_id: str,
    revision: int | None,
    rendition: RenditionKind,
    *,
    call: bool,
) -> WordsOut:
    if rendition is RenditionKind.ORIGINAL:
        caller.principal.require(Scope.OPERATE)
    words = await services.read.words(caller.tenant_id, conversation_id, revision)
    channel = words.conversation.channel
    if (channel is Channel.CALL) is not call:
        has = "transcript" if channel is Channel.CALL else "thread"
        raise NotFound(f"a conversation of channel {channel.value} has a {has}")
    original = None
    if rendition is RenditionKind.ORIGINAL:
        original = await services.read.original(caller.tenant_id, words, actor=caller.actor, origin=caller.origin)
    return WordsOut.of(words, original)


@router.get("/{conversation_id}/fields", response_model=FieldsOut)
async def get_fields(conversation_id: ConversationId, caller: Reader, services: Services) -> FieldsOut:
    """All current values with explanation, evidence and provenance, layer by layer."""
    values = await services.read.values(caller.tenant_id, conversation_id, sensitive=caller.operates)
    return FieldsOut(
        conversation_id=conversation_id,
        revision=values.conversation.revision,
        effective=[ValueOut.of(value, values.fields, values.hashes) for value in values.effective],
        layers=[ValueOut.of(value, values.fields, values.hashes) for value in values.layers],
    )


@router.get("/{conversation_id}/executions", response_model=ExecutionsOut)
async def get_executions(
    conversation_id: ConversationId, caller: Reader, services: Services, revision: Revision = None
) -> ExecutionsOut:
    """What was done: runs, stages, the ledger of tasks, engine calls with tokens and cost."""
    executions = await services.read.executions(caller.tenant_id, conversation_id, revision)
    return ExecutionsOut.of(executions, operator=caller.operates, link=services.orchestrator.link)


@router.get("/{conversation_id}/explain", response_model=ExplanationOut)
async def explain_conversation(
    request: Request, conversation_id: ConversationId, caller: Reader, services: Services
) -> ExplanationOut:
    """Why is this empty, or stuck? Stage, tries, last error, next retry, and per field the rule that decided."""
    explanation = await services.explain.explain(caller.tenant_id, conversation_id)
    run = explanation.entry.run if explanation.entry and caller.operates else None
    links = conversation_links(services, conversation_id, explanation.conversation.channel, run=run)
    return ExplanationOut.of(explanation, links)
