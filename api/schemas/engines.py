"""Engines: how they are set up, and what came of a test. A credential goes in and never comes out."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from api.schemas.common import Out
from domain.engine import EngineConfig, EngineFamily, EngineLimits, Price
from domain.fields import Owner
from services.manage_engines import EngineTest

_RANK = {Owner.OPERATOR: 2, Owner.PARTNER: 1, Owner.TENANT: 0}


class EngineOut(Out):
    """An engine as the caller may see it: addresses and parameters of a level above stay there."""

    name: str
    family: EngineFamily
    kind: str
    model: str
    owner: Owner
    external: bool = Field(description="What is sent to it leaves the premises.")
    region: str | None
    credentials: str | None = Field(description="Where they are: `env`, `file` or `db`; null without any.")
    limits: EngineLimits
    price: Price
    endpoint: str | None = None
    parameters: dict[str, Any] | None = None

    @classmethod
    def of(cls, config: EngineConfig, level: Owner) -> "EngineOut":
        whole = _RANK[level] >= _RANK[config.owner]
        return cls(
            name=config.name,
            family=config.family,
            kind=config.kind,
            model=config.model,
            owner=config.owner,
            external=config.external,
            region=config.region,
            credentials=config.credentials.split(":", 1)[0] if config.credentials else None,
            limits=config.limits,
            price=config.price,
            endpoint=config.endpoint if whole else None,
            parameters=config.parameters if whole else None,
        )


class EngineListOut(Out):
    items: list[EngineOut]


class CredentialsIn(BaseModel):
    """A provider's key, or a service account's JSON as one text."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    secret: SecretStr


class EngineErrorOut(Out):
    code: str
    title: str
    detail: str
    retryable: bool


class EngineTestOut(Out):
    """`seen` says what answered, how fast and with how many tokens; `error` why nothing did."""

    engine: str
    ok: bool
    seconds: float
    seen: str | None = None
    error: EngineErrorOut | None = None

    @classmethod
    def of(cls, test: EngineTest) -> "EngineTestOut":
        told = test.error
        error = told and EngineErrorOut(code=told.code, title=told.title, detail=told.message, retryable=told.retryable)
        return cls(
            engine=test.engine.name, ok=told is None, seconds=round(test.seconds, 3), seen=test.seen, error=error
        )
