"""How a task reads one conversation: whole, in windows, or not at all because it is too long."""

from collections.abc import Sequence
from dataclasses import dataclass

from domain.tasks import LongInput, TaskSpec
from domain.tokens import estimate
from domain.turns import Turn
from domain.windows import MIN_WINDOW, Window, tokens_of, windows
from engines.language_models.layout import schema_text, words_text
from engines.protocols import AskedTask
from services.call_plan import CallShape
from services.prompting import SYSTEM_TEXT

SYSTEM_TOKENS = estimate(SYSTEM_TEXT)


@dataclass(frozen=True)
class Reading:
    """The windows, in order; a single one is the whole conversation."""

    windows: tuple[Window, ...]

    @property
    def whole(self) -> bool:
        return len(self.windows) == 1


@dataclass(frozen=True)
class TooLong:
    """Why, in words for the ledger."""

    detail: str


def own_tokens(asked: AskedTask) -> int:
    """What a task adds to a request: its words with the description of its fields."""
    return estimate(words_text(asked))


def schema_tokens(asked: AskedTask) -> int:
    """What its fields take in the schema."""
    return estimate(schema_text(asked.fields))


def read(turns: Sequence[Turn], spec: TaskSpec, asked: AskedTask, shape: CallShape) -> Reading | TooLong:
    """A window takes at most half of what the engine reads: the other half is for the tasks that share it."""
    tokens = tokens_of(turns)
    around = SYSTEM_TOKENS + own_tokens(asked) + schema_tokens(asked) + spec.max_output_tokens
    room = shape.context_tokens - around
    wanted = None if spec.long_input is LongInput.WHOLE else spec.long_from_tokens
    if tokens <= (room if wanted is None else min(room, wanted)):
        return Reading((tuple(turns),))
    by_engine = wanted is None or room < wanted
    limit = f"the engine has room for {max(0, room):,}" if by_engine else f"the task reads {wanted:,}"
    if spec.long_input is not LongInput.WINDOWED:
        return TooLong(f"about {tokens:,} tokens, {limit}")
    budget = min(shape.context_tokens // 2, room, wanted or room)
    if budget < MIN_WINDOW:
        return TooLong(f"about {tokens:,} tokens, {limit}: too little for a window")
    cut = windows(turns, budget)
    if len(cut) > shape.max_windows:
        return TooLong(f"about {tokens:,} tokens need {len(cut)} windows, {shape.max_windows} are read at most")
    return Reading(cut)
