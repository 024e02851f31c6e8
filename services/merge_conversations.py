"""Two conversations turn out to be one thread: the younger becomes a part of the older, and nothing of it is lost."""

from collections.abc import Sequence

from domain.conversation import Conversation, Note
from domain.ids import derived_id
from domain.values import EvidenceState, FieldValue, Layer, SubjectKind
from storage.protocols import TenantTx

ACTOR = "parley"
MERGED_EVENT = "conversation.merged"
NOT_TAKEN = "human_value_not_taken"


async def merge(tx: TenantTx, gone: Sequence[Conversation], into: Conversation) -> tuple[Note, ...]:
    """Marks `gone` as parts of `into`; their messages are the caller's. Answers what is to be said about it.

    Their values leave the counts. A human value goes over, as stale, where the other conversation has none for the
    field; where it has one, that stays, and a note and the audit trail say which was not taken. It stays readable
    with the conversation that is gone. Raises ChangedMeanwhile.
    """
    if not gone:
        return ()
    await tx.threads.merge(gone, into)
    notes: list[Note] = []
    for conversation in gone:
        await tx.rollups.count_values(conversation.id)
        notes += await _take_human_values(tx, conversation, into)
        await tx.outbox.search_dirty(conversation.id)
        await tx.outbox.event(MERGED_EVENT, conversation.id)
    await tx.rollups.count_values(into.id)
    return tuple(notes)


async def _take_human_values(tx: TenantTx, gone: Conversation, into: Conversation) -> Sequence[Note]:
    taken, left = await _human_values(tx, gone, into)
    await tx.values.put(taken)
    await tx.audit.record(
        actor=ACTOR,
        action="conversation.merge",
        subject=gone.id,
        origin=None,
        after={
            "into": into.id,
            "human_values_taken": [value.field_key for value in taken],
            "human_values_left": [value.field_key for value in left],
        },
    )
    return [
        Note(code=NOT_TAKEN, detail=f"{value.field_key} was also set by a person in {gone.id}; that value is there.")
        for value in left
    ]


async def _human_values(
    tx: TenantTx, gone: Conversation, into: Conversation
) -> tuple[Sequence[FieldValue], Sequence[FieldValue]]:
    """Copies for the conversation that stays, and the values it has itself."""
    known = {_place(value, into) for value in await tx.values.current(into.id, Layer.HUMAN)}
    taken, left = [], []
    for value in await tx.values.current(gone.id, Layer.HUMAN):
        if _place(value, gone) in known:
            left.append(value)
        else:
            taken.append(_copy(value, into))
    return taken, left


def _place(value: FieldValue, of: Conversation) -> tuple[str, SubjectKind, str]:
    return value.field_id, value.subject, "" if value.subject_id == of.id else value.subject_id


def _copy(value: FieldValue, into: Conversation) -> FieldValue:
    """Its quotes are left behind: they are of turns that have other numbers here."""
    return value.model_copy(
        update={
            "id": derived_id("merged-value", value.id, into.id),
            "conversation_id": into.id,
            "revision": into.revision,
            "subject_id": into.id if value.subject is SubjectKind.CONVERSATION else value.subject_id,
            "evidence": (),
            "evidence_state": EvidenceState.NONE,
            "evidence_revision": None,
            "stale": True,
        }
    )
