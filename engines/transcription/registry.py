"""Transcription engines by kind. A new provider is one file and one line here."""

from collections.abc import Callable, Mapping

from pydantic import SecretStr

from domain.engine import EngineConfig
from domain.errors import EngineRejected
from engines.protocols import TranscriptionEngine


def _whisper(config: EngineConfig, secret: SecretStr | None) -> TranscriptionEngine:
    from engines.transcription.whisper import WhisperEngine

    return WhisperEngine(config)


def _deepgram(config: EngineConfig, secret: SecretStr | None) -> TranscriptionEngine:
    from engines.transcription.deepgram import DeepgramEngine

    return DeepgramEngine(config, secret)


def _openai_compatible(config: EngineConfig, secret: SecretStr | None) -> TranscriptionEngine:
    from engines.transcription.openai_compatible import OpenAICompatibleTranscription

    return OpenAICompatibleTranscription(config, secret)


FACTORIES: Mapping[str, Callable[[EngineConfig, SecretStr | None], TranscriptionEngine]] = {
    "whisper": _whisper,
    "deepgram": _deepgram,
    "openai_compatible": _openai_compatible,
}


def build(config: EngineConfig, secret: SecretStr | None = None) -> TranscriptionEngine:
    """The engine of a configuration; cheap, models are loaded on first use. `secret` is what `credentials` leads to.

    Raises EngineRejected for an unknown kind, parameters that are not valid, or a missing secret.
    """
    factory = FACTORIES.get(config.kind)
    if factory is None:
        known = ", ".join(sorted(FACTORIES))
        raise EngineRejected(f"engine {config.name}: there is no transcription engine of kind {config.kind} ({known})")
    return factory(config, secret)
