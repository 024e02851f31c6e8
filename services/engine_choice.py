"""Which engines a tenant's text and audio may go to."""

from collections.abc import Mapping

from domain.engine import EngineConfig, EngineFamily
from storage.protocols import Rendition, Tenant


def why_not_allowed(tenant: Tenant, engine: EngineConfig) -> str | None:
    """The rule of the tenant's that keeps this engine out, in words; None when none does."""
    if tenant.allowed_engines is not None and engine.name not in tenant.allowed_engines:
        return engine.name
    if engine.external and tenant.allowed_regions is not None and engine.region not in tenant.allowed_regions:
        where = f"in {engine.region}" if engine.region else "in a region that is not known"
        return f"{engine.name} is {where}, allowed is {', '.join(tenant.allowed_regions) or 'nowhere outside'}"
    return None


def may_read(tenant: Tenant, engine: EngineConfig, rendition: Rendition) -> bool:
    """Text whose names could not be detected goes to no engine outside, unless the tenant allows its language."""
    if not engine.external or rendition.names_detected:
        return True
    language = rendition.language
    return language is not None and language.split("-")[0] in tenant.external_languages


def fallbacks(
    config: EngineConfig, engines: Mapping[str, EngineConfig], tenant: Tenant, rendition: Rendition
) -> tuple[EngineConfig, ...]:
    """The engines that are asked when `config` is away, in its order: only those the tenant allows to read this text.
    A name that leads nowhere is left out: the engine itself still answers."""
    named = config.parameters.get("fallback") or ()
    found = (engines.get(name) for name in dict.fromkeys(named) if name != config.name)
    return tuple(
        engine
        for engine in found
        if engine is not None
        and engine.family is EngineFamily.LANGUAGE_MODEL
        and why_not_allowed(tenant, engine) is None
        and may_read(tenant, engine, rendition)
    )
