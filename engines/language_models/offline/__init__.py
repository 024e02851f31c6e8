"""The offline engine: rules, lexicons and embeddings behind the language-model Protocol."""

from engines.language_models.offline.engine import MODEL, OfflineEngine

__all__ = ["MODEL", "OfflineEngine"]
