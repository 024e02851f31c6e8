"""Legs of a contact: read from what was handed in."""

from domain.conversation import Leg
from domain.errors import InvalidInput
from domain.intake import ConversationIn, LegIn
from domain.times import StampContext, read_stamp


def legs_of(intake: ConversationIn, context: StampContext) -> tuple[Leg, ...]:
    """Numbered by when they began. Raises InvalidInput naming the leg's field."""
    legs = [_leg(leg, f"legs[{position}]", context) for position, leg in enumerate(intake.legs)]
    legs.sort(key=lambda leg: leg.started_at)
    return tuple(leg.model_copy(update={"number": number}) for number, leg in enumerate(legs, start=1))


def _leg(leg: LegIn, field: str, context: StampContext) -> Leg:
    began = read_stamp(leg.started_at, context, field=f"{field}.started_at").at
    ended, transferred = (
        None if stamp is None else read_stamp(stamp, context, field=f"{field}.{name}").at
        for name, stamp in (("ended_at", leg.ended_at), ("transferred_at", leg.transferred_at))
    )
    for name, at in (("ended_at", ended), ("transferred_at", transferred)):
        if at is not None and at < began:
            raise InvalidInput.of(f"{field}.{name}", "is before the leg's started_at")
    return Leg(
        number=1,
        participant_id=leg.agent,
        queue=leg.queue,
        started_at=began,
        ended_at=ended,
        hold_ms=leg.hold_ms,
        transferred_at=transferred,
    )
