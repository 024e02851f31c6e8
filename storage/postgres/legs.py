"""Legs of one customer contact: who had it when."""

from collections.abc import Sequence

from domain.conversation import Leg
from storage.postgres.repository import Repository

_CLEAR = """
delete from conversation_leg
where tenant_id = $1
  and conversation_id = $2
"""

# An agent is known by how the source names them; who is not known yet keeps that name.
_PUT = """
insert into conversation_leg (
  tenant_id, conversation_id, number, participant_id, agent_id, queue, started_at, ended_at, hold_ms, transferred_at
)
select $1, $2, leg.number, leg.participant_id, a.agent_id, leg.queue, leg.started_at, leg.ended_at, leg.hold_ms,
  leg.transferred_at
from jsonb_to_recordset($4::jsonb) as leg (
  number integer, participant_id text, queue text, started_at timestamptz, ended_at timestamptz, hold_ms bigint,
  transferred_at timestamptz
)
left join agent_identity a on a.tenant_id = $1 and a.source = $3 and a.external_id = leg.participant_id
"""

_OF = """
select number, participant_id, queue, started_at, ended_at, hold_ms, transferred_at
from conversation_leg
where tenant_id = $1
  and conversation_id = $2
order by number
"""


class PostgresLegs(Repository):
    """See `storage.protocols.Legs`."""

    async def put(self, conversation_id: str, source: str, legs: Sequence[Leg]) -> None:
        await self._execute(_CLEAR, conversation_id)
        if legs:
            await self._execute(_PUT, conversation_id, source, list(legs))

    async def of(self, conversation_id: str) -> Sequence[Leg]:
        return [Leg.model_validate(dict(row)) for row in await self._rows(_OF, conversation_id)]
