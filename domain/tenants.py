"""Setting up a tenant: what has to be said about it. Nothing is unlimited, and nothing kept for ever, by accident."""

from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from domain.conversation import Frozen, ShortText, Slug
from domain.engine import Region
from domain.ids import TenantIdStr
from domain.times import is_zone

Language = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$", max_length=35)]
Languages = Annotated[tuple[Language, ...], Field(max_length=100)]


class Limit(Frozen):
    """Use in a calendar month of the tenant's zone at which it is warned, and at which it is stopped."""

    warn_at: float = Field(ge=0, allow_inf_nan=False)
    stop_at: float = Field(ge=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _warn_first(self) -> "Limit":
        if self.warn_at > self.stop_at:
            raise ValueError("warn_at is above stop_at")
        return self


class TenantLimits(Frozen):
    """All of them are given: nothing is unlimited by accident."""

    conversations: Limit
    audio_minutes: Limit
    requests: Limit
    tokens: Limit
    cost_usd: Limit


class Retention(Frozen):
    """Days each kind of data is kept."""

    audio_days: int = Field(gt=0, le=36_500)
    text_days: int = Field(gt=0, le=36_500)
    insight_days: int = Field(gt=0, le=36_500)


class NewPartner(Frozen):
    slug: Slug
    name: Annotated[ShortText, StringConstraints(min_length=1)]


class NewTenant(Frozen):
    """partner_id None: the operator hosts the tenant itself."""

    slug: Slug
    name: Annotated[ShortText, StringConstraints(min_length=1)]
    limits: TenantLimits
    retention: Retention
    time_zone: Annotated[str, StringConstraints(max_length=64)]
    languages: Languages
    partner_id: TenantIdStr | None = None
    cell: Slug = "main"
    external_languages: Languages = ()
    allowed_engines: Annotated[tuple[Slug, ...], Field(max_length=100)] | None = None
    allowed_regions: Annotated[tuple[Region, ...], Field(max_length=100)] | None = None
    language_model: Slug | None = None
    transcription: Slug | None = None

    @model_validator(mode="after")
    def _known_zone(self) -> "NewTenant":
        if not is_zone(self.time_zone):
            raise ValueError("time_zone is not an IANA time zone")
        return self


class TenantChange(Frozen):
    """What of a tenant may change; only what is given does. Null for an engine: the nearest one configured; null for
    allowed_engines: every engine the operator configured; null for allowed_regions: wherever an engine is."""

    name: Annotated[ShortText, StringConstraints(min_length=1)] | None = None
    time_zone: Annotated[str, StringConstraints(max_length=64)] | None = None
    languages: Languages | None = None
    external_languages: Languages | None = None
    allowed_engines: Annotated[tuple[Slug, ...], Field(max_length=100)] | None = None
    allowed_regions: Annotated[tuple[Region, ...], Field(max_length=100)] | None = None
    language_model: Slug | None = None
    transcription: Slug | None = None

    @model_validator(mode="after")
    def _known_zone(self) -> "TenantChange":
        if self.time_zone is not None and not is_zone(self.time_zone):
            raise ValueError("time_zone is not an IANA time zone")
        return self

    @property
    def given(self) -> dict[str, object]:
        """The change by name, in JSON's types."""
        return self.model_dump(mode="json", exclude_unset=True)

    @property
    def engines(self) -> frozenset[str]:
        """Every engine it names."""
        named = (self.language_model, self.transcription, *(self.allowed_engines or ()))
        return frozenset(name for name in named if name is not None)
