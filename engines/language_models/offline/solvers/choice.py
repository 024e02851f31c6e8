"""Any choice field: the option whose label and meaning the customer's words are most like, by embeddings.

Zero-shot: nobody has shown this engine examples of a tenant's own options. So it answers only when one option is
clearly like and clearly ahead of the next.
"""

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from domain.fields import CustomField, FieldType
from engines.language_models.offline.analysis import Analysis
from engines.language_models.offline.embeddings import Vectors, shared_embedder
from engines.language_models.offline.evidence import Ground, quotes
from engines.language_models.offline.found import Found, Question, known, unknown
from engines.language_models.offline.need import needs_of
from engines.language_models.offline.text import Sentence

LIKE = 0.27
"""Cosine from which on a sentence is like an option."""
AHEAD = 0.08
"""How far the best option must be ahead of the next."""
READ_SENTENCES = 8
KEPT_FIELDS = 64

_lock = threading.Lock()
_prototypes: OrderedDict[tuple[str, ...], tuple[tuple[str, ...], Vectors]] = OrderedDict()


def solve(analysis: Analysis, field: CustomField, question: Question) -> Found:
    """Choice and multi-choice. Other languages than English are not embedded: unknown."""
    if analysis.language != "en":
        return unknown("The offline engine compares meanings in English only.")
    sentences = needs_of(analysis)[:READ_SENTENCES]
    if not sentences:
        return unknown("The customer says hardly anything of their own.")
    ranked = sorted(
        (
            (max(values), option, int(np.argmax(values)))
            for option, values in likeness(analysis, field, sentences).items()
        ),
        reverse=True,
    )
    like = [hit for hit in ranked if hit[0] >= LIKE]
    if not like:
        return unknown("Nothing the customer says is clearly like one of the options.")
    if field.type is FieldType.MULTI_CHOICE:
        evidence = quotes(analysis, [Ground.of(sentences[i]) for _, _, i in like], question.evidence_role)
        return known(tuple(option for _, option, _ in like), "By likeness of meaning.", evidence)
    if len(ranked) > 1 and ranked[0][0] - ranked[1][0] < AHEAD:
        return unknown("Two options are equally like what the customer says.")
    best = like[0]
    evidence = quotes(analysis, [Ground.of(sentences[best[2]])], question.evidence_role)
    return known(best[1], "By likeness of meaning with the option's label and meaning.", evidence)


def likeness(analysis: Analysis, field: CustomField, sentences: Sequence[Sentence]) -> Mapping[str, tuple[float, ...]]:
    """Cosine of each sentence with each option's label and meaning."""
    owners, prototypes = _prototypes_of(field)
    cosine: NDArray[np.float32] = analysis.vectors(sentences) @ prototypes.T
    found: dict[str, tuple[float, ...]] = {}
    for option in dict.fromkeys(owners):
        columns = [i for i, owner in enumerate(owners) if owner == option]
        found[option] = tuple(float(v) for v in cosine[:, columns].max(axis=1))
    return found


def _prototypes_of(field: CustomField) -> tuple[tuple[str, ...], Vectors]:
    """Embedded options, kept for the fields used last."""
    texts: list[tuple[str, str]] = []
    for option in field.live_options:
        if option.id == "other":
            continue
        texts.append((option.id, f"{option.label}. {option.meaning}"))
    key = tuple(f"{owner}\x1f{text}" for owner, text in texts)
    with _lock:
        kept = _prototypes.get(key)
        if kept is None:
            vectors = shared_embedder().embed([text for _, text in texts])
            kept = _prototypes[key] = (tuple(owner for owner, _ in texts), vectors)
        _prototypes.move_to_end(key)
        while len(_prototypes) > KEPT_FIELDS:
            _prototypes.popitem(last=False)
    return kept
