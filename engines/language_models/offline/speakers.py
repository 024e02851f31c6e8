"""Who most likely speaks in turns whose speaker nobody told apart: people take turns, and agents talk like agents.

A guess for the rules' own use; the turns keep their role, and nothing is claimed about them.
"""

import re
from collections.abc import Mapping, Sequence

from domain.conversation import Role
from domain.turns import Turn
from engines.language_models.offline.lexicon.base import Lexicon

SWITCH = 1.2
"""What it counts that the next turn is the other's."""
AGENT_OPENS = 0.8
CUE, STRONG_CUE = 1.0, 2.5

_OPENING = re.compile(
    r"\b(?:speaking|how (?:can|may) i help|you're through to|you're speaking (?:to|with)|thank(?:s| you) for calling|"
    r"reception|lost property|customer (?:service|care)|support|mein name ist|was kann ich für sie|le atiende|"
    r"en qué puedo)\b"
)
_ASKS_DETAILS = re.compile(
    r"\b(?:(?:can|could|may) i (?:take|have|get)|what(?:'s| is) (?:your|the) (?:name|number|postcode|address|"
    r"order|account|date|"
    r"reference|booking)|what name|under what name|which (?:order|card|account|address)|what does it look like|"
    r"have you got (?:the|your)|do you have (?:the|your)|kundennummer|número de cliente)\b"
)
_OF_CUSTOMER = re.compile(
    r"\b(?:i(?:'m| am) (?:calling|ringing|phoning)|i'd like to|i want to|i need|can i|could i|i (?:bought|"
    r"ordered|booked|lost|left|"
    r"paid|received|got)|i've (?:got|lost|had|been|just)|my (?:order|bill|card|parcel|account|booking|internet|"
    r"phone|contract|"
    r"husband|wife|son|daughter)|we (?:land|arrive|booked|ordered|need)|ich (?:habe|möchte|brauche)|quiero|"
    r"necesito|tengo)\b"
)


def guessed(turns: Sequence[Turn], folded: Mapping[int, str], lexicon: Lexicon) -> dict[int, Role]:
    """A role for every turn without one: the likeliest sequence of agent and customer (Viterbi)."""
    unknown = [t for t in turns if t.role is Role.UNKNOWN]
    if not unknown:
        return {}
    pair = (Role.AGENT, Role.CUSTOMER)
    scores: dict[Role, float] = {Role.AGENT: AGENT_OPENS, Role.CUSTOMER: 0.0}
    came_from: list[dict[Role, Role]] = []
    for position, turn in enumerate(unknown):
        lean = _lean(folded[turn.number], lexicon, first=position == 0)
        if position:
            steps = {role: _best_before(role, scores) for role in pair}
            came_from.append(steps)
            scores = {role: scores[steps[role]] + SWITCH * (steps[role] is not role) for role in pair}
        scores = {Role.AGENT: scores[Role.AGENT] + lean, Role.CUSTOMER: scores[Role.CUSTOMER] - lean}
    role = max(pair, key=lambda r: scores[r])
    found = {unknown[-1].number: role}
    for turn, steps in zip(reversed(unknown[:-1]), reversed(came_from), strict=True):
        role = steps[role]
        found[turn.number] = role
    return found


def _best_before(role: Role, scores: Mapping[Role, float]) -> Role:
    """Whose turn most likely came before this role's."""
    return max(scores, key=lambda before: scores[before] + SWITCH * (before is not role))


def _lean(folded: str, lexicon: Lexicon, *, first: bool) -> float:
    """How much a turn sounds like an agent's: above 0, or like a customer's: below."""
    lean = 0.0
    lean += STRONG_CUE if first and _OPENING.search(folded) else 0
    lean += STRONG_CUE if _ASKS_DETAILS.search(folded) else 0
    lean += CUE if lexicon.agent_talk.search(folded) else 0
    lean += CUE if lexicon.outcome.agent_done.search(folded) or lexicon.outcome.agent_refused.search(folded) else 0
    lean -= STRONG_CUE if _OF_CUSTOMER.search(folded) else 0
    return lean
