"""What next actions are made of: the action itself, how a promise begins, and the words two actions are compared by."""

import re
from dataclasses import dataclass

from engines.language_models.offline.text import Sentence, words

MAX_ACTION_WORDS = 26

PROMISE = re.compile(
    r"\b(?:i'll|i will|i'm going to|i am going to|i shall|we'll|we will|we're going to|we are going "
    r"to|let me|i'm|we're|i can)\b\s*(?:also |now |then |just |personally |make sure (?:to|that|we|i) "
    r"|be able to )*",
)


@dataclass(frozen=True)
class Action:
    text: str
    sentence: Sentence
    start: int
    end: int


_COMMON = frozenset(
    """
    that this with will your you have been just then from they them into for the and now going also when what more
    make sure get let agent customer company
    """.split()  # noqa: SIM905 - a list of words is read more easily than a list of literals
)


def telling(folded: str) -> set[str]:
    """Beginnings of the words that say what it is about: `refunded` and `refund` are the same."""
    return {w[:5] for w in words(folded) if len(w) > 3 and w not in _COMMON}
