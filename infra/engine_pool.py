"""The process's engines: built once per configuration and credential, credentials followed at the moment of use."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from pydantic import SecretStr

from domain.engine import EngineConfig
from domain.errors import EngineRejected
from domain.tasks import content_hash
from engines.protocols import LanguageModelEngine, TranscriptionEngine
from infra.secrets import EngineCredentials, SecretRef, SecretUnavailable
from infra.telemetry.engines import ObservedLanguageModel, ObservedTranscription

if TYPE_CHECKING:
    from infra.telemetry.tracing import Tracing

E = TypeVar("E")

Build = Callable[[EngineConfig, SecretStr | None], E]
"""A registry's `build`."""

MAX_ENGINES = 64
"""Engines kept per family; the oldest goes first. Tenants bring their own, so there may be many."""


class EnginePool:
    """Fulfils `services.engine_calls.Engines`; every engine it gives is observed.

    A credential that is exchanged behind its reference makes a new engine with the next request: rotation needs no
    restart. Raises EngineRejected for an unknown kind or a credential that cannot be read.
    """

    def __init__(
        self,
        credentials: EngineCredentials,
        transcription: Build[TranscriptionEngine],
        language_model: Build[LanguageModelEngine],
        tracing: "Tracing | None" = None,
    ) -> None:
        self._credentials = credentials
        self._build_transcription: Build[TranscriptionEngine] = lambda config, secret: ObservedTranscription(
            transcription(config, secret), config, tracing
        )
        self._build_language_model: Build[LanguageModelEngine] = lambda config, secret: ObservedLanguageModel(
            language_model(config, secret), config, tracing
        )
        self._transcription: dict[str, TranscriptionEngine] = {}
        self._language_models: dict[str, LanguageModelEngine] = {}

    def transcription(self, config: EngineConfig) -> TranscriptionEngine:
        return self._get(self._transcription, config, self._build_transcription)

    def language_model(self, config: EngineConfig) -> LanguageModelEngine:
        return self._get(self._language_models, config, self._build_language_model)

    def _get(self, built: dict[str, E], config: EngineConfig, build: Build[E]) -> E:
        secret = self._secret(config)
        version = content_hash([config.model_dump(mode="json"), secret.get_secret_value() if secret else None])
        if version not in built:
            if len(built) >= MAX_ENGINES:
                built.pop(next(iter(built)))
            built[version] = build(config, secret)
        return built[version]

    def _secret(self, config: EngineConfig) -> SecretStr | None:
        if config.credentials is None:
            return None
        try:
            return self._credentials.resolve(SecretRef(config.credentials))
        except SecretUnavailable as error:
            raise EngineRejected(f"engine {config.name}: {error.message}") from None
