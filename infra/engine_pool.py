"""The process's engines: built once per configuration and credential, credentials followed at the moment of use."""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

from pydantic import SecretStr

from domain.engine import EngineConfig, EngineFamily
from domain.errors import EngineRejected, EngineUnavailable, NotFound, Unavailable
from domain.fields import Owner
from domain.tasks import content_hash
from engines.protocols import LanguageModelEngine, TranscriptionEngine
from infra.secrets import EngineCredentials, SecretRef, SecretUnavailable
from infra.telemetry.engines import ObservedLanguageModel, ObservedTranscription
from services.guarded_engines import IN_PROCESS, EngineGuard, GuardedLanguageModel, GuardedTranscription

if TYPE_CHECKING:
    from infra.telemetry.tracing import Tracing

E = TypeVar("E")

Build = Callable[[EngineConfig, SecretStr | None], E]
"""A registry's `build`."""

MAX_ENGINES = 64
"""Engines kept per family; the oldest goes first. Tenants bring their own, so there may be many."""

SECRET_FRESH_SECONDS = 10.0
"""How long a secret from the database is taken as read: a changed one is used by every process after that."""

STORED = "db:"


class StoredSecrets(Protocol):
    """Secrets sealed in the database. Raises NotFound, Unavailable."""

    async def secret(self, engine_id: str, name: str) -> SecretStr: ...


class EnginePool:
    """Fulfils `services.engine_calls.Engines`; every engine it gives is observed.

    A credential that is exchanged behind its reference makes a new engine with the next request: rotation needs no
    restart. Whatever is asked over a network is given with its limits, breaker and fallbacks around it, and raises
    EngineRejected for an unknown kind or a credential that cannot be read when it is asked.
    """

    def __init__(
        self,
        credentials: EngineCredentials,
        stored: StoredSecrets,
        guard: EngineGuard,
        transcription: Build[TranscriptionEngine],
        language_model: Build[LanguageModelEngine],
        tracing: "Tracing | None" = None,
    ) -> None:
        self._credentials = credentials
        self._stored = stored
        self._guard = guard
        self._build_transcription: Build[TranscriptionEngine] = lambda config, secret: ObservedTranscription(
            transcription(config, secret), config, tracing
        )
        self._build_language_model: Build[LanguageModelEngine] = lambda config, secret: ObservedLanguageModel(
            language_model(config, secret), config, tracing
        )
        self._transcription: dict[str, TranscriptionEngine] = {}
        self._language_models: dict[str, LanguageModelEngine] = {}
        self._secrets: dict[tuple[str, str], tuple[float, SecretStr]] = {}

    def transcription(self, config: EngineConfig) -> TranscriptionEngine:
        if config.kind in IN_PROCESS:
            return self._get(self._transcription, config, None, self._build_transcription)
        return GuardedTranscription(config, self._open_transcription, self._guard)

    def language_model(self, config: EngineConfig, fallback: Sequence[EngineConfig] = ()) -> LanguageModelEngine:
        if config.kind in IN_PROCESS and not fallback:
            return self._get(self._language_models, config, None, self._build_language_model)
        return GuardedLanguageModel((config, *fallback), self._open_language_model, self._guard)

    def check(self, config: EngineConfig) -> None:
        """Whether such an engine can be built, with any credential. Raises EngineRejected."""
        builder: Build[object] = (
            self._build_transcription if config.family is EngineFamily.TRANSCRIPTION else self._build_language_model
        )
        builder(config, SecretStr("unset"))

    async def test(self, config: EngineConfig) -> str:
        """Sends a real small request, past limits and breaker. Raises EngineError."""
        if config.family is EngineFamily.TRANSCRIPTION:
            return await (await self._open_transcription(config)).test()
        return await (await self._open_language_model(config)).test()

    async def _open_transcription(self, config: EngineConfig) -> TranscriptionEngine:
        return self._get(self._transcription, config, await self._secret(config), self._build_transcription)

    async def _open_language_model(self, config: EngineConfig) -> LanguageModelEngine:
        return self._get(self._language_models, config, await self._secret(config), self._build_language_model)

    @staticmethod
    def _get(built: dict[str, E], config: EngineConfig, secret: SecretStr | None, build: Build[E]) -> E:
        version = content_hash([config.model_dump(mode="json"), secret.get_secret_value() if secret else None])
        if version not in built:
            if len(built) >= MAX_ENGINES:
                built.pop(next(iter(built)))
            built[version] = build(config, secret)
        return built[version]

    async def _secret(self, config: EngineConfig) -> SecretStr | None:
        if config.credentials is None:
            return None
        if config.credentials.startswith(STORED):
            return await self._from_database(config, config.credentials.removeprefix(STORED))
        if config.owner is not Owner.OPERATOR:
            # It would go to the address that the same configuration names, which somebody else wrote.
            raise EngineRejected(f"engine {config.name}: only the operator's engines may use variables and files")
        try:
            return self._credentials.resolve(SecretRef(config.credentials))
        except SecretUnavailable as error:
            raise EngineRejected(f"engine {config.name}: {error.message}") from None

    async def _from_database(self, config: EngineConfig, name: str) -> SecretStr:
        """While the database is away, what was read last is used on: the secret has hardly changed meanwhile."""
        key, now = (config.id, name), time.monotonic()
        read_at, known = self._secrets.get(key, (0.0, None))
        if known is not None and now - read_at < SECRET_FRESH_SECONDS:
            return known
        try:
            found = await self._stored.secret(config.id, name)
        except NotFound:
            self._secrets.pop(key, None)
            raise EngineRejected(f"engine {config.name}: no credentials are stored for it") from None
        except Unavailable as error:
            if known is not None:
                return known
            raise EngineUnavailable(f"engine {config.name}: {error.message}") from None
        if len(self._secrets) >= MAX_ENGINES:
            self._secrets.pop(next(iter(self._secrets)))
        self._secrets[key] = (now, found)
        return found
