"""What a language's lexicon holds."""

from collections.abc import Mapping
from dataclasses import dataclass

from engines.language_models.offline.cues import CueSet


@dataclass(frozen=True)
class Feelings:
    """Words of feeling and judgement by sign and strength (weights 3, 2, 1).

    states: the subset that tells how a person feels ("furious"): about someone else it says nothing of the customer.
    sarcasm: idioms that mean the opposite of their words, whatever stands around them; irony: those that may.

    bright: adjectives that sarcasm likes to use.
    grievances: facts beside which a bright adjective is not meant.
    gratitude: thanks with weight; politeness: thanks without.
    """

    delighted: CueSet
    pleased: CueSet
    content: CueSet
    angry: CueSet
    unhappy: CueSet
    uneasy: CueSet
    states: CueSet
    sarcasm: CueSet
    irony: CueSet
    bright: CueSet
    grievances: CueSet
    gratitude: CueSet
    politeness: CueSet


@dataclass(frozen=True)
class Context:
    """What turns the meaning of a hit: negation, hypotheses, other people as the subject, other companies."""

    negation: CueSet
    not_negation: CueSet
    hypothesis: CueSet
    other_person: CueSet
    own_person: CueSet
    other_company: CueSet
    reported_promise: CueSet


@dataclass(frozen=True)
class Outcome:
    """How it went: in the customer's words, and by what the agent did or refused."""

    resolved: CueSet
    unresolved: CueSet
    reluctant: CueSet
    repeated: CueSet
    escalation: CueSet
    agent_done: CueSet
    agent_refused: CueSet


@dataclass(frozen=True)
class Churn:
    """Leaving and staying. `unrelated` are cancellations of something else than the relation (an order, a visit)."""

    leaving: CueSet
    wavering: CueSet
    staying: CueSet
    retracted: CueSet
    unrelated: CueSet
    causes: Mapping[str, CueSet]


@dataclass(frozen=True)
class Promises:
    """Things to do: promises of the agent and the customer, and requests. `momentary` ones are done on the spot."""

    agent: CueSet
    customer: CueSet
    expected: CueSet
    momentary: CueSet
    courtesy: CueSet


@dataclass(frozen=True)
class Lexicon:
    """Everything the rules know of one language."""

    language: str
    feelings: Feelings
    context: Context
    outcome: Outcome
    churn: Churn
    promises: Promises
    reasons: Mapping[str, tuple[CueSet, ...]]
    need: CueSet
    small_talk: CueSet
    agent_talk: CueSet
