"""What analysing so much would cost, before anything is analysed: rough, and from above.

Tokens are guessed from characters, speech from the length of calls; filters of tasks are not looked at, because what
they ask for is not known yet.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from domain.conversation import Channel
from domain.engine import EngineConfig, EngineFamily
from domain.errors import NoEngineForLanguage
from domain.imports import Volume
from domain.tasks import EffectiveTask
from domain.tokens import BYTES_PER_TOKEN
from services.language_strategy import choose
from services.prompting import SYSTEM_TEXT
from storage.protocols import Tenant

CHARACTERS_PER_MINUTE = 900
"""Of speech: some 150 words."""

_CHARACTERS_PER_FIELD = 600
"""Of the schema and the options that a field adds to a request."""

_TOKENS_PER_FIELD = 150
"""Of an answer: a value, a sentence or two, quotes."""

_MINUTE_MS, _HOUR_MS = 60_000, 3_600_000


@dataclass(frozen=True)
class TaskEstimate:
    """Of one task over all conversations it covers."""

    task: str
    engine: str
    conversations: int
    input_tokens: int
    output_tokens: int
    cost_usd: float


@dataclass(frozen=True)
class Estimate:
    """unmeasured: calls whose length only decoding can tell; they are in no figure. audio_minutes of the others."""

    conversations: int
    audio_minutes: float
    unmeasured: int
    transcription: str | None
    transcription_usd: float
    tasks: tuple[TaskEstimate, ...]

    @property
    def input_tokens(self) -> int:
        return sum(task.input_tokens for task in self.tasks)

    @property
    def output_tokens(self) -> int:
        return sum(task.output_tokens for task in self.tasks)

    @property
    def cost_usd(self) -> float:
        return self.transcription_usd + sum(task.cost_usd for task in self.tasks)


def estimate(
    volumes: Mapping[Channel, Volume], tasks: Sequence[EffectiveTask], engines: Sequence[EngineConfig], tenant: Tenant
) -> Estimate:
    """By the tenant's active tasks and the prices of the engines they would go to."""
    whole = sum(volumes.values(), Volume())
    heard = volumes.get(Channel.CALL, Volume())
    engine = _hearing(tenant, engines) if heard.conversations else None
    models = {engine.name: engine for engine in engines if engine.family is EngineFamily.LANGUAGE_MODEL}
    return Estimate(
        conversations=whole.conversations,
        audio_minutes=whole.audio_ms / _MINUTE_MS,
        unmeasured=whole.unmeasured,
        transcription=engine.name if engine else None,
        transcription_usd=engine.price.audio_per_hour * heard.audio_ms / _HOUR_MS if engine else 0.0,
        tasks=tuple(_of_task(task, volumes, models) for task in tasks),
    )


def _hearing(tenant: Tenant, engines: Sequence[EngineConfig]) -> EngineConfig | None:
    try:
        return choose(tenant, None, engines).engine
    except NoEngineForLanguage:
        return None


def _of_task(
    task: EffectiveTask, volumes: Mapping[Channel, Volume], models: Mapping[str, EngineConfig]
) -> TaskEstimate:
    spec = task.spec
    covered = sum((volumes.get(channel, Volume()) for channel in spec.channels), Volume())
    asked = math.ceil(covered.conversations * spec.sample)
    around = len(SYSTEM_TEXT) + len(spec.prompt) + _CHARACTERS_PER_FIELD * len(task.fields)
    said = covered.characters + covered.audio_ms / _MINUTE_MS * CHARACTERS_PER_MINUTE
    tokens_in = math.ceil((around * asked + said * spec.sample) / BYTES_PER_TOKEN)
    tokens_out = asked * min(spec.max_output_tokens, _TOKENS_PER_FIELD * len(task.fields))
    price = models[task.engine].price if task.engine in models else None
    cost = 0.0
    if price is not None:
        cost = (tokens_in * price.input_per_million + tokens_out * price.output_per_million) / 1_000_000
    return TaskEstimate(task.task.slug, task.engine, asked, tokens_in, tokens_out, cost)
