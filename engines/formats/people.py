"""Who takes part, collected from wherever they are named."""

from dataclasses import dataclass

from domain.conversation import Participant, Role
from domain.intake import MAX_PARTICIPANTS
from engines.formats.notes import Notes
from engines.formats.values import cut, id_of, person_id


@dataclass
class _Person:
    role: Role
    name: str | None
    address: str | None
    speaks: bool = False


class People:
    """Participants by id. What is known of somebody is never overwritten, only added to."""

    def __init__(self) -> None:
        self._known: dict[str, _Person] = {}

    def add(
        self,
        given: str,
        role: Role | None = None,
        name: str | None = None,
        address: str | None = None,
        *,
        speaks: bool = False,
    ) -> str:
        """The participant's id, made from the one the sender gives. speaks: is an author, not only named."""
        identity = id_of(person_id(given)) or given
        if address is None and "@" in given:
            address = given
        address = address if address is None or len(address) <= 320 else None
        person = self._known.setdefault(identity, _Person(Role.UNKNOWN, None, None))
        if person.role is Role.UNKNOWN and role is not None:
            person.role = role
        person.name = person.name or (cut(name, 200) if name else None)
        person.address = person.address or address
        person.speaks = person.speaks or speaks
        return identity

    def all(self, notes: Notes) -> list[Participant]:
        """Who speaks first, then as many of the others as there is room for."""
        speakers = [(identity, person) for identity, person in self._known.items() if person.speaks]
        others = [(identity, person) for identity, person in self._known.items() if not person.speaks]
        room = max(0, MAX_PARTICIPANTS - len(speakers))
        if len(others) > room:
            notes.add("participants_left_out", f"{len(others) - room} people who are only named are left out.")
        unknown = sum(1 for _, person in speakers if person.role is Role.UNKNOWN)
        if unknown:
            detail = f"Of {unknown} of {len(speakers)} authors it is not known whether they are agent or customer."
            notes.add("roles_unknown", detail)
        return [
            Participant(id=identity, role=person.role, name=person.name, address=person.address)
            for identity, person in (*speakers, *others[:room])
        ]
