"""Two small classifiers over sentence embeddings, trained on sentences written for this engine (`training/`).

`feeling`: does a sentence show dissatisfaction, satisfaction or neither; it also sees what the lexicon found.
`reason`: which of the starter taxonomy's reasons a sentence is about. English only, as the embeddings are.
"""

from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from engines.language_models.offline.context import Feeling
from engines.language_models.offline.embeddings import Vectors
from engines.language_models.offline.text import Sentence

Name = Literal["feeling", "reason"]
WEIGHTS = "classifiers.npz"
EMBEDDING_SCALE = 4.0
"""Embeddings have length 1; scaled up, the penalty on the weights leaves enough slope."""
STRENGTH_CAP = 4.0
LONG = 30
"""Words from which on a sentence is simply long."""


@dataclass(frozen=True)
class Classifier:
    """Multinomial logistic regression: weights (features, classes), bias (classes,)."""

    labels: tuple[str, ...]
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]

    def probabilities(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Shape (n, classes) for features of shape (n, features)."""
        scores = features @ self.weights + self.bias
        shifted = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(shifted / shifted.sum(axis=1, keepdims=True), dtype=np.float32)


@cache
def classifier(name: Name) -> Classifier:
    """The trained classifier, read once per process."""
    with as_file(files(__package__).joinpath("data", WEIGHTS)) as path, np.load(path, allow_pickle=False) as arrays:
        return Classifier(
            tuple(str(label) for label in arrays[f"{name}_labels"]), arrays[f"{name}_weights"], arrays[f"{name}_bias"]
        )


def feeling_features(sentence: Sentence, vector: NDArray[np.float32], found: list[Feeling]) -> NDArray[np.float32]:
    """The embedding, and of what the lexicon found: sums and extremes by sign, whether it is a question, its length."""
    strengths = [f.strength for f in found if f.sentence.index == sentence.index]
    praise = min(sum(s for s in strengths if s > 0), STRENGTH_CAP)
    blame = min(-sum(s for s in strengths if s < 0), STRENGTH_CAP)
    lexical = [
        praise,
        blame,
        max(strengths, default=0.0),
        min(strengths, default=0.0),
        2.0 * any(f.sarcastic for f in found if f.sentence.index == sentence.index),
        float(sentence.question),
        min(sentence.word_count, LONG) / (LONG / 2),
    ]
    return np.concatenate([vector * EMBEDDING_SCALE, np.array(lexical, dtype=np.float32)])


def reason_features(vectors: Vectors) -> NDArray[np.float32]:
    return np.asarray(vectors * EMBEDDING_SCALE, dtype=np.float32)
