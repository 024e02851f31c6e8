"""One conversation: what was said, what it comes to and why, and how that came about."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response, StreamingResponse

from api.deps import ConversationId, Services
from api.web.values import Shown, shown_value
from api.web.view import render
from api.web.visitors import Needs, Visitor
from domain.conversation import Conversation, Participant, Role, StageState
from domain.errors import ContentDamaged, NotFound
from domain.fields import CustomField
from domain.ledger import REASONS
from domain.turns import Turn
from domain.values import FieldValue, Layer
from services.explain import Explanation
from services.explain_fields import FieldExplanation, FieldState
from services.facade import ApiServices
from services.listen import CallFile, RangeNotSatisfiable
from services.permissions import Permission
from services.read_conversation import Executions, ValuesByLayer, Words

router = APIRouter(include_in_schema=False)

Reader = Annotated[Visitor, Depends(Needs(Permission.EVERY_CONVERSATION))]
Listener = Annotated[Visitor, Depends(Needs(Permission.EVERY_CONVERSATION, Permission.ORIGINALS))]

_NAMED = (Role.AGENT, Role.BOT, Role.SYSTEM)
"""Customers' names are part of the original."""


@dataclass(frozen=True)
class Said:
    """A turn and who said it. side: `customer`, `agent` or `other`, for the eye."""

    turn: Turn
    speaker: str
    side: str


@dataclass(frozen=True)
class ValueCard:
    """A value with its ground. why: what stands in the way of it, if anything. ai: the model's, when a person's won."""

    shown: Shown
    value: FieldValue
    field: CustomField | None
    ai: Shown | None


@dataclass(frozen=True)
class Stage:
    state: StageState
    seconds: float | None


@router.get("/conversations/{conversation_id}")
async def conversation(
    request: Request, conversation_id: ConversationId, visitor: Reader, services: Services
) -> Response:
    sensitive = visitor.may(Permission.SENSITIVE_FIELDS)
    values = await services.read.values(visitor.tenant_id, conversation_id, sensitive=sensitive)
    explanation = await services.explain.explain(visitor.tenant_id, conversation_id)
    executions = await services.read.executions(visitor.tenant_id, conversation_id)
    words = await _words(services, visitor, conversation_id)
    found = values.conversation
    cards = _cards(values)
    context = {
        "c": found,
        "title": _title(cards, found),
        "said": _said(words, found),
        "words": words,
        "files": await _files(services, visitor, found),
        "cards": [card for card in cards if card.value.value is not None],
        "unknown": [card for card in cards if card.value.value is None],
        "empty": _empty(explanation, values, sensitive=sensitive),
        "explanation": explanation,
        "executions": executions,
        "stages": [Stage(s, _seconds(s.started_at, s.ended_at)) for s in found.stages],
        "ledger": sorted(executions.task_runs, key=lambda run: (run.task_slug, -run.entry)),
        "cost": sum(call.cost_usd for call in executions.calls),
        "people": _people(found),
        "links": _links(services, visitor, executions),
        "reasons": REASONS,
        "may_listen": visitor.may(Permission.ORIGINALS),
    }
    return render(request, "conversation.html", context, person=visitor.person, form=visitor.form)


@router.get("/conversations/{conversation_id}/audio/{number}")
async def audio(
    request: Request, conversation_id: ConversationId, number: int, visitor: Listener, services: Services
) -> Response:
    """A file of a call, or the stretch of it that a player asks for. Who listens is on the audit trail."""
    try:
        found = await services.listen.stretch(
            visitor.tenant_id,
            conversation_id,
            number,
            request.headers.get("range"),
            listener=visitor.person.session.id,
            actor=visitor.person.actor,
            origin=visitor.origin,
        )
    except RangeNotSatisfiable as error:
        return Response(status_code=416, headers={"Content-Range": f"bytes */{error.size}"})
    headers = {"Accept-Ranges": "bytes", "Content-Length": str(found.end - found.start + 1)}
    if not found.whole:
        headers["Content-Range"] = f"bytes {found.start}-{found.end}/{found.size}"
    return StreamingResponse(found.chunks, 200 if found.whole else 206, headers, media_type=found.media_type)


async def _words(services: ApiServices, visitor: Visitor, conversation_id: str) -> Words | None:
    """None before there are any."""
    try:
        return await services.read.words(visitor.tenant_id, conversation_id)
    except NotFound:
        return None


async def _files(services: ApiServices, visitor: Visitor, of: Conversation) -> tuple[CallFile, ...]:
    if not visitor.may(Permission.ORIGINALS):
        return ()
    try:
        return await services.listen.files(of)
    except ContentDamaged:  # told where somebody operates; here there is simply nothing to listen to
        return ()


def _links(services: ApiServices, visitor: Visitor, executions: Executions) -> list[tuple[str, str]]:
    """(words, address) of the runs in the Temporal Web UI, newest first."""
    if not visitor.may(Permission.OPERATIONS):
        return []
    links = []
    for entry in reversed(executions.entries):
        address = services.orchestrator.link(entry.run)
        if address is not None:
            links.append((f"Run {entry.run.entry} in Temporal ({entry.reason or entry.enter_at.value})", address))
    return links


def _title(cards: Sequence[ValueCard], of: Conversation) -> str:
    return next((c.shown.text for c in cards if c.shown.field == "contact_reason" and c.value.value), of.external_id)


# -- what was said ------------------------------------------------------------------------------------------


def _said(words: Words | None, of: Conversation) -> list[Said]:
    if words is None:
        return []
    names = _speakers(of.participants)
    sides = {Role.CUSTOMER: "customer", Role.AGENT: "agent", Role.BOT: "agent"}
    return [
        Said(turn, names.get(turn.participant_id, ""), sides.get(turn.role, "other")) for turn in words.rendition.turns
    ]


def _speakers(participants: Sequence[Participant]) -> dict[str, str]:
    """Names of those who may be named; several customers are told apart by a number."""
    names = {p.id: p.name for p in participants if p.role in _NAMED and p.name}
    others = [p for p in participants if p.role not in _NAMED]
    if len(others) > 1:
        names |= {p.id: f"{number}" for number, p in enumerate(others, start=1)}
    return names


def _people(of: Conversation) -> list[tuple[str, str]]:
    """(role, name or nothing)."""
    names = _speakers(of.participants)
    return [(p.role.value, names.get(p.id, "")) for p in of.participants]


# -- values -------------------------------------------------------------------------------------------------


def _cards(values: ValuesByLayer) -> list[ValueCard]:
    """What counts most comes first: aggregated fields, then the texts."""
    ai = {(v.field_id, v.subject_id): v for v in values.layers if v.layer is Layer.AI}
    cards = []
    for value in values.effective:
        model = ai.get((value.field_id, value.subject_id)) if value.layer is Layer.HUMAN else None
        cards.append(
            ValueCard(
                shown=shown_value(value, values.fields),
                value=value,
                field=values.fields.get(value.field_id),
                ai=shown_value(model, values.fields) if model is not None else None,
            )
        )
    return sorted(cards, key=lambda card: card.shown.field != "summary")


def _empty(
    explanation: Explanation, values: ValuesByLayer, *, sensitive: bool
) -> list[tuple[FieldExplanation, list[str]]]:
    """Why fields have no value at all: each reason once, with the labels of the fields it holds for."""
    hidden = {field.key for field in values.fields.values() if field.sensitive and not sensitive}
    told = (FieldState.VALUE, FieldState.UNSUPPORTED, FieldState.UNKNOWN)
    reasons: dict[tuple[str, str | None, str], tuple[FieldExplanation, list[str]]] = {}
    for field in explanation.fields:
        if field.state not in told and field.field not in hidden:
            reasons.setdefault((field.words, field.detail, field.remedy), (field, []))[1].append(field.label)
    return list(reasons.values())


def _seconds(began: datetime | None, ended: datetime | None) -> float | None:
    return None if began is None or ended is None else max(0.0, (ended - began).total_seconds())
