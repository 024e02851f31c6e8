"""`parameters` of an engine's configuration: what every kind may hold, and how a kind's own are read."""

from typing import TypeVar

from pydantic import Field, ValidationError

from domain.conversation import Frozen, Slug
from domain.engine import EngineConfig
from domain.errors import EngineRejected


class EngineParameters(Frozen):
    """Each kind adds its own and knows no others.

    context_tokens: how much the model reads, for `plan`; fallback: names of engines that are asked in this order when
    this one is away; languages: read by the language strategy.
    """

    context_tokens: int | None = Field(default=None, ge=1)
    fallback: tuple[Slug, ...] = Field(default=(), max_length=5)
    languages: tuple[str, ...] = ()


P = TypeVar("P", bound=EngineParameters)


def parameters_of(kind: type[P], config: EngineConfig) -> P:
    """Raises EngineRejected naming the parameters that are not valid, never what they hold."""
    try:
        return kind.model_validate(config.parameters)
    except ValidationError as error:
        wrong = ", ".join(".".join(str(part) for part in problem["loc"]) for problem in error.errors())
        raise EngineRejected(f"engine {config.name}: parameters that are not valid: {wrong}") from None
