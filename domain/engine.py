"""Engines as configuration, and the record of every request made to one."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from domain.conversation import Frozen, Slug
from domain.fields import Owner
from domain.ids import IdStr


class EngineFamily(StrEnum):
    TRANSCRIPTION = "transcription"
    LANGUAGE_MODEL = "language_model"


CredentialRef = Annotated[str, StringConstraints(pattern=r"^(env|file|db):.+$", max_length=500)]


class EngineLimits(Frozen):
    """Limits held over all processes; None is no limit."""

    requests_per_minute: int | None = Field(default=None, ge=1, le=10_000_000)
    tokens_per_minute: int | None = Field(default=None, ge=1, le=10_000_000_000)
    concurrency: int | None = Field(default=None, ge=1, le=10_000)


class Price(Frozen):
    """US dollars per million tokens, or per audio hour; `version` names the list it comes from.

    cached: input read from the provider's cache; cache_write: input written to it, None where that costs what input
    costs; thinking: output spent on thinking, None where it costs what output costs.
    """

    input_per_million: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    output_per_million: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    cached_per_million: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    cache_write_per_million: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    thinking_per_million: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    audio_per_hour: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    version: str = Field(default="none", max_length=100)


class EngineConfig(Frozen):
    """A named engine. `kind` is the provider's registry name and picks the task queue (`whisper`, `gemini`, …).

    external: the input leaves the premises; credentials are a reference, never a secret.
    """

    id: IdStr
    name: Slug
    family: EngineFamily
    kind: Slug
    model: str
    credentials: CredentialRef | None = None
    endpoint: str | None = None
    region: str | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    limits: EngineLimits = EngineLimits()
    price: Price = Price()
    owner: Owner = Owner.OPERATOR
    external: bool = False


ModelName = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\s\x00-\x1f]+$")]
Endpoint = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$", max_length=500)]
Region = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
Parameters = Annotated[dict[str, Any], Field(max_length=50)]


class NewEngine(Frozen):
    """An engine as it is set up. price None: the shipped list's, where it knows the model. credentials: a variable or
    file, for the operator's engines only; a secret is given apart and never read back."""

    name: Slug
    family: EngineFamily
    kind: Slug
    model: ModelName
    endpoint: Endpoint | None = None
    region: Region | None = None
    parameters: Parameters = Field(default_factory=dict)
    limits: EngineLimits = EngineLimits()
    price: Price | None = None
    credentials: CredentialRef | None = None
    external: bool = True


class EngineChange(Frozen):
    """What of an engine may change; only what is given does."""

    model: ModelName | None = None
    endpoint: Endpoint | None = None
    region: Region | None = None
    parameters: Parameters | None = None
    limits: EngineLimits | None = None
    price: Price | None = None
    credentials: CredentialRef | None = None
    external: bool | None = None

    @property
    def given(self) -> dict[str, object]:
        """The change by name. Null takes an endpoint, region or credentials away; it changes nothing else."""
        may_go = ("endpoint", "region", "credentials")
        named = {name: getattr(self, name) for name in self.model_fields_set}
        return {name: value for name, value in named.items() if value is not None or name in may_go}


class Usage(Frozen):
    """What a request consumed. input_tokens holds those read from a provider's cache and those written to it;
    output_tokens holds thinking_tokens, because both are billed as output."""

    requests: int = 1
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    thinking_tokens: int = 0
    audio_ms: int = 0


class CallOutcome(StrEnum):
    ANSWERED = "answered"
    FAILED = "failed"


class EngineCall(Frozen):
    """One request to an engine, committed as soon as it is answered. A retry finds it by request_hash.

    parts: for a language model, hashes of what was asked, one for each task; an answer to several is found by each.
    """

    id: IdStr
    request_hash: str
    engine: str
    model: str
    outcome: CallOutcome
    usage: Usage
    cost_usd: float = 0.0
    price_version: str = "none"
    latency_ms: int = 0
    answer: str | None = None
    error_code: str | None = None
    parts: tuple[str, ...] = ()
