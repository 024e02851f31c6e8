"""Which language a call is taken to be in, and which transcription engine hears it."""

from collections.abc import Sequence
from dataclasses import dataclass

from domain.engine import EngineConfig, EngineFamily
from domain.errors import NoEngineForLanguage
from services.engine_choice import why_not_allowed
from storage.protocols import Tenant


@dataclass(frozen=True)
class LanguageChoice:
    """language None: the engine detects it among `candidates`. ground says how it was chosen."""

    engine: EngineConfig
    language: str | None
    ground: str
    candidates: tuple[str, ...]


def choose(tenant: Tenant, hint: str | None, engines: Sequence[EngineConfig]) -> LanguageChoice:
    """Hint, then the tenant's only language, then detection; the tenant's own choice of engine if it hears that,
    else the first allowed one that does, those on the premises first.

    When no allowed engine tells the tenant's languages apart, the call is taken to be in the first of them.
    An engine's parameter `languages` (list of tags) says what it hears; without it, everything.
    Raises NoEngineForLanguage.
    """
    if hint:
        language, ground = hint, "hint"
    elif len(tenant.languages) == 1:
        language, ground = tenant.languages[0], "configured"
    else:
        language, ground = None, "detected"
    allowed = [e for e in engines if e.family is EngineFamily.TRANSCRIPTION and _may_hear(tenant, e)]
    wanted = [language] if language else list(tenant.languages)
    ordered = sorted(allowed, key=lambda e: (e.name != tenant.transcription, e.external))
    for engine in ordered:
        if all(_hears(engine, tag) for tag in wanted):
            return LanguageChoice(engine, language, ground, tuple(tenant.languages))
    if language is None and tenant.languages:
        primary = tenant.languages[0]
        for engine in ordered:
            if _hears(engine, primary):
                return LanguageChoice(engine, primary, "assumed: the tenant's first language", (primary,))
    raise NoEngineForLanguage(f"no allowed transcription engine hears {', '.join(wanted) or 'any language'}")


def _may_hear(tenant: Tenant, engine: EngineConfig) -> bool:
    """Audio leaves the premises only for an engine the tenant chose or expressly allows, in a region it allows."""
    if why_not_allowed(tenant, engine) is not None:
        return False
    if tenant.allowed_engines is not None:
        return True
    return not engine.external or engine.name == tenant.transcription


def _hears(engine: EngineConfig, tag: str) -> bool:
    languages = engine.parameters.get("languages")
    if not languages:
        return True
    primary = tag.split("-", maxsplit=1)[0].lower()
    return any(str(known).split("-")[0].lower() == primary for known in languages)
