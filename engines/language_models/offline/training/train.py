"""Trains the offline engine's classifiers: `python -m engines.language_models.offline.training.train`.

Multinomial logistic regression with L2 penalty on the sentence embeddings, one model per file of sentences beside this
one, fitted by full-batch gradient descent with momentum from zero: no randomness, the same sentences give the same
weights. Writes `data/classifiers.npz` and prints the accuracy in five-fold cross-validation.
"""

import hashlib
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from domain.conversation import Role
from domain.turns import Turn
from engines.language_models.offline.analysis import Analysis
from engines.language_models.offline.classifiers import WEIGHTS, Name, feeling_features, reason_features

NAMES: tuple[Name, ...] = ("feeling", "reason")
PENALTY = {"feeling": 2e-2, "reason": 2e-2}
SHARPNESSES = np.linspace(1.0, 4.0, 31)
"""The penalty makes the classifiers shy: their scores are multiplied by what makes unseen sentences most likely."""
STEPS = 400
RATE = 1.0
MOMENTUM = 0.9
FOLDS = 5
MERGED = {"very_negative": "negative", "very_positive": "positive"}
"""Strength comes from the lexicon; the classifier tells the sign."""

Matrix = NDArray[np.float64]


def sentences(name: Name) -> Iterator[tuple[str, str]]:
    """(label, sentence) pairs of a file."""
    label = ""
    for line in files(__package__).joinpath(f"{name}.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            label = MERGED.get(line.strip("[]"), line.strip("[]"))
        elif line and not line.startswith("#"):
            yield label, line


def features(name: Name, texts: list[str]) -> Matrix:
    """What the classifier sees of each sentence, said by a customer and on its own."""
    rows = []
    for text in texts:
        turn = Turn(number=1, role=Role.CUSTOMER, participant_id="customer", text=text)
        analysis = Analysis((turn,), "en")
        vectors = analysis.vectors(analysis.customer)
        if name == "reason":
            rows.append(reason_features(vectors).mean(axis=0))
        else:
            found = list(analysis.feelings)
            parts = [feeling_features(s, v, found) for s, v in zip(analysis.customer, vectors, strict=True)]
            rows.append(np.mean(parts, axis=0))
    return np.asarray(rows, dtype=np.float64)


def fit(x: Matrix, y: NDArray[np.int64], classes: int, penalty: float) -> tuple[Matrix, Matrix]:
    """Weights (features, classes) and bias (classes,), every class weighing the same."""
    weights, bias = np.zeros((x.shape[1], classes)), np.zeros(classes)
    speed_w, speed_b = np.zeros_like(weights), np.zeros_like(bias)
    target = np.eye(classes)[y]
    share = (1.0 / np.bincount(y, minlength=classes))[y] / classes
    for _ in range(STEPS):
        error = (probabilities(x @ weights + bias) - target) * share[:, None]
        speed_w = MOMENTUM * speed_w - RATE * (x.T @ error + penalty * weights)
        speed_b = MOMENTUM * speed_b - RATE * error.sum(axis=0)
        weights, bias = weights + speed_w, bias + speed_b
    return weights, bias


def probabilities(scores: Matrix) -> Matrix:
    """Softmax over the last axis."""
    shifted = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))


def cross_validated(x: Matrix, y: NDArray[np.int64], classes: int, penalty: float) -> Matrix:
    """Each sentence's scores, shape (n, classes), from a model that has not seen it."""
    scores = np.zeros((len(y), classes))
    fold = np.arange(len(y)) % FOLDS  # every class is spread over all folds
    for held_out in range(FOLDS):
        weights, bias = fit(x[fold != held_out], y[fold != held_out], classes, penalty)
        scores[fold == held_out] = x[fold == held_out] @ weights + bias
    return scores


def sharpness(scores: Matrix, y: NDArray[np.int64]) -> float:
    """The factor for the scores with the least log loss."""
    losses = [-np.log(probabilities(scores * s)[np.arange(len(y)), y] + 1e-12).mean() for s in SHARPNESSES]
    return float(SHARPNESSES[int(np.argmin(losses))])


def train(name: Name) -> dict[str, NDArray[np.generic]]:
    """One classifier; prints how well it does on sentences it has not seen."""
    pairs = list(sentences(name))
    labels = list(dict.fromkeys(label for label, _ in pairs))
    x = features(name, [text for _, text in pairs])
    y = np.array([labels.index(label) for label, _ in pairs])
    scores = cross_validated(x, y, len(labels), PENALTY[name])
    told, factor = scores.argmax(axis=1), sharpness(scores, y)
    print(f"{name}: {len(pairs)} sentences, {np.mean(told == y):.0%} right unseen, sharpness {factor:.1f}")  # noqa: T201 - a program
    for index, label in enumerate(labels):
        confused = [labels[t] for t in told[y == index] if t != index]
        print(f"  {label}: {np.mean(told[y == index] == index):.0%}", dict.fromkeys(confused))  # noqa: T201
    weights, bias = fit(x, y, len(labels), PENALTY[name])
    return {
        f"{name}_labels": np.array(labels),
        f"{name}_weights": (weights * factor).astype(np.float32),
        f"{name}_bias": (bias * factor).astype(np.float32),
    }


def fingerprint() -> str:
    """SHA-256 (hex) of all training sentences: kept with the weights, so that a test sees when they no longer match."""
    digest = hashlib.sha256()
    for name in NAMES:
        digest.update(files(__package__).joinpath(f"{name}.txt").read_bytes())
    return digest.hexdigest()


def target() -> Path:
    """Where the weights are kept."""
    return Path(str(files("engines.language_models.offline").joinpath("data", WEIGHTS)))


def main() -> int:
    arrays: dict[str, NDArray[np.generic]] = {"fingerprint": np.array(fingerprint())}
    for name in NAMES:
        arrays.update(train(name))
    np.savez_compressed(target(), allow_pickle=False, **arrays)
    return 0


if __name__ == "__main__":
    sys.exit(main())
