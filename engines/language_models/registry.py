"""Which class answers for which kind of language-model engine: one line per provider."""

from collections.abc import Callable, Mapping

from pydantic import SecretStr

from domain.engine import EngineConfig
from domain.errors import EngineRejected
from engines.protocols import LanguageModelEngine

Factory = Callable[[EngineConfig, SecretStr | None], LanguageModelEngine]


def _offline(config: EngineConfig, secret: SecretStr | None) -> LanguageModelEngine:
    from engines.language_models.offline import OfflineEngine

    return OfflineEngine()


def _gemini(config: EngineConfig, secret: SecretStr | None) -> LanguageModelEngine:
    from engines.language_models.gemini import GeminiEngine

    return GeminiEngine(config, secret)


def _openai_compatible(config: EngineConfig, secret: SecretStr | None) -> LanguageModelEngine:
    from engines.language_models.openai_compatible import OpenAICompatibleEngine

    return OpenAICompatibleEngine(config, secret)


def _anthropic(config: EngineConfig, secret: SecretStr | None) -> LanguageModelEngine:
    from engines.language_models.anthropic import AnthropicEngine

    return AnthropicEngine(config, secret)


def _vertex(config: EngineConfig, secret: SecretStr | None) -> LanguageModelEngine:
    from engines.language_models.vertex import VertexEngine

    return VertexEngine(config, secret)


FACTORIES: Mapping[str, Factory] = {
    "offline": _offline,
    "gemini": _gemini,
    "vertex": _vertex,
    "openai_compatible": _openai_compatible,
    "anthropic": _anthropic,
}


def build(config: EngineConfig, secret: SecretStr | None) -> LanguageModelEngine:
    """The engine of a configuration. secret: the resolved credential, None when the kind needs none.

    Cheap: libraries and models are loaded on first use. Raises EngineRejected for an unknown kind or a missing secret.
    """
    factory = FACTORIES.get(config.kind)
    if factory is None:
        raise EngineRejected(f"there is no language-model engine of the kind {config.kind}")
    return factory(config, secret)
