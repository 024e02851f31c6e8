"""The redactor: patterns and rules for every language, a name detector where the language has one.

Works on a whole conversation: a question decides what its answer holds, a number may be read out over several turns,
and what was personal once is masked wherever it is said again.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version as installed

from domain.turns import Mask, MaskKind, Redaction, Turn
from engines.protocols import Progress
from engines.redaction.codes import code_spans, references, secret_spans
from engines.redaction.emails import email_spans
from engines.redaction.given_names import given_name_spans
from engines.redaction.identifiers import number_spans, split_card_spans
from engines.redaction.known import KnownNames, known_names
from engines.redaction.names import said_names
from engines.redaction.numbers import DigitRun, digit_runs
from engines.redaction.patterns import address_spans, birth_spans, identifier_spans, ip_spans
from engines.redaction.people import NameDetector, companies, could_name, default_detectors
from engines.redaction.recall import Recall, is_distinctive_name
from engines.redaction.spans import Span, apply, resolve
from engines.redaction.topics import Heard, Listener

RULES = 2
"""Number of the rules in this folder. A change of what is masked raises it: tests/unit/test_redaction_version.py."""

_PIECE = 8_000
"""Characters that are read at once; longer turns are cut at a line or sentence end."""

_INFLECTED = frozenset({"bg", "cs", "et", "fi", "hr", "hu", "lt", "lv", "pl", "ro", "ru", "sk", "sl", "sr", "tr", "uk"})


@dataclass
class _Piece:
    """A stretch of one turn, with what was found in it. Offsets of spans are of the piece."""

    index: int
    offset: int
    heard: Heard
    runs: list[DigitRun]
    spans: list[Span] = field(default_factory=list)

    @property
    def text(self) -> str:
        return self.heard.turn.text


class PatternAndNameRedactor:
    """Fulfils `engines.protocols.Redactor`. Safe to share between threads; models load on first use."""

    def __init__(self, detectors: Mapping[str, NameDetector] | None = None) -> None:
        self._detectors = dict(default_detectors() if detectors is None else detectors)
        parts = [f"rules-{RULES}", f"presidio-{installed('presidio-analyzer')}"]
        parts += [self._detectors[language].name for language in sorted(self._detectors)]
        self._version = " ".join(parts)

    @property
    def version(self) -> str:
        return self._version

    def redact(
        self, turns: Sequence[Turn], *, language: str | None, names: Sequence[str], progress: Progress
    ) -> Redaction:
        """Masks every turn. `language` is a BCP-47 tag, or None when it is not known; a turn's own goes before it."""
        default = _base(language)
        inflected = default in _INFLECTED
        pieces = self._read(turns, default, progress)
        ignored = companies(piece.text for piece in pieces) - _parts(names)
        _drop_companies(pieces, ignored)
        _drop_references(pieces)
        _find_known(pieces, known_names([*names, *_names_in(pieces)], inflected=inflected))
        found = self._detect_people(pieces, default, ignored, progress)
        _find_known(pieces, known_names((), found, inflected=inflected))
        _find_repeats(pieces)
        redacted, masks = _masked(turns, pieces)
        languages = {_base(turn.language) or default for turn in turns} or {default}
        used = sorted(f"names:{known}" for known in languages if known in self._detectors)
        progress(1.0)
        return Redaction(
            turns=redacted,
            masks=masks,
            redactor=self._version,
            detectors=("patterns", *used),
            names_detected=all(known in self._detectors for known in languages),
        )

    def _read(self, turns: Sequence[Turn], default: str | None, progress: Progress) -> list[_Piece]:
        """First pass: what form, words and questions tell, in the order of the conversation."""
        listener = Listener()
        pieces: list[_Piece] = []
        total, done = sum(len(turn.text) for turn in turns) or 1, 0
        for index, turn in enumerate(turns):
            language = _base(turn.language) or default
            for offset, text in _cut(turn.text):
                part = turn if len(text) == len(turn.text) else turn.model_copy(update={"text": text})
                heard = listener.hear(part)
                piece = _Piece(index, offset, heard, digit_runs(text, language))
                piece.spans = _told_spans(piece, language)
                listener.answered(heard, {span.kind for span in piece.spans})
                pieces.append(piece)
                done += len(text)
                progress(0.5 * done / total)
        split_card_spans(
            [(piece.heard, piece.runs) for piece in pieces], lambda at, span: pieces[at].spans.append(span)
        )
        return pieces

    def _detect_people(
        self, pieces: Sequence[_Piece], default: str | None, ignored: frozenset[str], progress: Progress
    ) -> list[str]:
        """Adds the people that detectors find in lines where a name may still be hidden; answers their names."""
        lines: dict[str, list[tuple[_Piece, int, str]]] = {}
        for piece in pieces:
            language = _base(piece.heard.turn.language) or default or ""
            if language in self._detectors:
                lines.setdefault(language, []).extend(
                    (piece, start, line) for start, line in _lines(piece, ignored, piece.spans)
                )
        names: list[str] = []
        total, done = sum(map(len, lines.values())), 0
        for language, group in lines.items():
            people = self._detectors[language].find([line for _, _, line in group])
            for (piece, start, line), spans in zip(group, people, strict=True):
                for span in spans:
                    name = line[span.start : span.end]
                    if not ignored.intersection(name.lower().split()):
                        piece.spans.append(Span(span.start + start, span.end + start, span.kind))
                        names.append(name)
                done += 1
                progress(0.5 + 0.4 * done / total)
        return [name for name in names if is_distinctive_name(name)]


def _told_spans(piece: _Piece, language: str | None) -> list[Span]:
    heard, runs = piece.heard, piece.runs
    detectors: tuple[Callable[[], Iterable[Span]], ...] = (
        lambda: email_spans(heard),
        lambda: number_spans(heard, runs, language),
        lambda: code_spans(heard),
        lambda: secret_spans(heard),
        lambda: birth_spans(heard, runs),
        lambda: address_spans(heard, runs),
        lambda: identifier_spans(heard),
        lambda: ip_spans(heard),
        lambda: said_names(heard),
        lambda: given_name_spans(heard.turn.text),
    )
    return [span for detect in detectors for span in detect()]


def _lines(piece: _Piece, ignored: frozenset[str], covered: Sequence[Span]) -> Iterator[tuple[int, str]]:
    """(offset, line) of the piece's lines that could hold another name."""
    for found in re.finditer(r"[^\n]+", piece.text):
        inside = (Span(s.start - found.start(), s.end - found.start(), s.kind) for s in covered)
        if could_name(found.group(), ignored, inside):
            yield found.start(), found.group()


def _parts(names: Iterable[str]) -> set[str]:
    return {part.lower() for name in names for part in name.split()}


def _names_in(pieces: Iterable[_Piece]) -> list[str]:
    names = (p.text[s.start : s.end] for p in pieces for s in resolve(p.spans, p.text) if s.kind is MaskKind.NAME)
    return [name for name in names if is_distinctive_name(name)]


def _drop_companies(pieces: Iterable[_Piece], ignored: frozenset[str]) -> None:
    for piece in pieces:
        piece.spans = [
            span
            for span in piece.spans
            if span.kind is not MaskKind.NAME
            or not ignored.intersection(piece.text[span.start : span.end].lower().split())
        ]


def _drop_references(pieces: Sequence[_Piece]) -> None:
    kept = {reference.lower() for piece in pieces for reference in references(piece.heard)}
    for piece in pieces:
        piece.spans = [
            span
            for span in piece.spans
            if span.kind is not MaskKind.ACCOUNT or piece.text[span.start : span.end].lower() not in kept
        ]


def _find_known(pieces: Iterable[_Piece], names: KnownNames) -> None:
    for piece in pieces:
        piece.spans += names.find(piece.text)


def _find_repeats(pieces: Sequence[_Piece]) -> None:
    recall = Recall()
    for piece in pieces:
        recall.learn(piece.text, resolve(piece.spans, piece.text))
    for piece in pieces:
        piece.spans += recall.find(piece.text, piece.runs, piece.spans)


# -- putting it together ----------------------------------------------------------------------------------


def _masked(turns: Sequence[Turn], pieces: Sequence[_Piece]) -> tuple[tuple[Turn, ...], tuple[Mask, ...]]:
    spans: dict[int, list[Span]] = {}
    for piece in pieces:
        spans.setdefault(piece.index, []).extend(
            Span(span.start + piece.offset, span.end + piece.offset, span.kind) for span in piece.spans
        )
    redacted: list[Turn] = []
    masks: list[Mask] = []
    for index, turn in enumerate(turns):
        text, hidden = apply(resolve(spans.get(index, ()), turn.text), turn.text, turn.number)
        redacted.append(turn.model_copy(update={"text": text}) if hidden else turn)
        masks += hidden
    return tuple(redacted), tuple(masks)


_CUTS = ("\n", ". ", " ")


def _cut(text: str) -> list[tuple[int, str]]:
    """(offset, text) of pieces of at most _PIECE characters, cut after a line, a sentence or a word."""
    pieces: list[tuple[int, str]] = []
    at = 0
    while len(text) - at > _PIECE:
        window = text[at : at + _PIECE]
        places = (window.rfind(cut) + len(cut) for cut in _CUTS if window.rfind(cut) > _PIECE // 2)
        length = next(places, _PIECE)
        pieces.append((at, window[:length]))
        at += length
    return [*pieces, (at, text[at:])]


def _base(language: str | None) -> str | None:
    return language.split("-")[0].lower() if language else None
