"""Spans of personal data in one turn, and what becomes of them: masks in the text and the map that leads back."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from domain.turns import Mask, MaskKind


@dataclass(frozen=True, order=True)
class Span:
    """Characters start..end (exclusive) of a turn's original text hold personal data of this kind."""

    start: int
    end: int
    kind: MaskKind

    @property
    def length(self) -> int:
        return self.end - self.start


_WEIGHT = {
    kind: weight
    for weight, kind in enumerate(
        (
            MaskKind.NAME,
            MaskKind.ID_NUMBER,
            MaskKind.IP_ADDRESS,
            MaskKind.DATE_OF_BIRTH,
            MaskKind.ADDRESS,
            MaskKind.PHONE,
            MaskKind.ACCOUNT,
            MaskKind.EMAIL,
            MaskKind.PASSWORD,
            MaskKind.NATIONAL_ID,
            MaskKind.CARD,
        )
    )
}


def resolve(spans: Iterable[Span], text: str) -> list[Span]:
    """Spans that do not overlap, in order, covering every character that any span covered.

    Of spans that overlap the longest gives the kind, among equals the more sensitive one. Spans of one kind with
    nothing but blanks between them are one.
    """
    resolved: list[Span] = []
    winner_length = 0
    for span in sorted(_trimmed(span, text) for span in spans):
        if span.length <= 0:
            continue
        last = resolved[-1] if resolved else None
        if last is None or not _touches(last, span, text):
            resolved.append(span)
            winner_length = span.length
            continue
        kind = last.kind
        if (span.length, _WEIGHT[span.kind]) > (winner_length, _WEIGHT[last.kind]):
            kind, winner_length = span.kind, span.length
        resolved[-1] = Span(last.start, max(last.end, span.end), kind)
    return _joined(resolved, text)


def _joined(resolved: Sequence[Span], text: str) -> list[Span]:
    """Neighbours of one kind are one: an overlap may have given a span the kind of the one before it."""
    joined: list[Span] = []
    for span in resolved:
        if joined and _touches(joined[-1], span, text):
            joined[-1] = Span(joined[-1].start, span.end, span.kind)
        else:
            joined.append(span)
    return joined


def apply(spans: Sequence[Span], text: str, turn: int) -> tuple[str, list[Mask]]:
    """The text with masks in place of the resolved spans, and where each mask stands in it."""
    parts: list[str] = []
    masks: list[Mask] = []
    position = length = 0
    for span in spans:
        shown = f"[{span.kind.value}]"
        parts += (text[position : span.start], shown)
        length += span.start - position
        masks.append(
            Mask(turn=turn, start=length, end=length + len(shown), kind=span.kind, original=text[span.start : span.end])
        )
        length += len(shown)
        position = span.end
    parts.append(text[position:])
    return "".join(parts), masks


def restore(redacted: str, masks: Iterable[Mask]) -> str:
    """The original text of a turn, from its redacted text and its masks."""
    parts: list[str] = []
    position = 0
    for mask in sorted(masks, key=lambda mask: mask.start):
        parts += (redacted[position : mask.start], mask.original)
        position = mask.end
    parts.append(redacted[position:])
    return "".join(parts)


def _trimmed(span: Span, text: str) -> Span:
    start, end = max(0, span.start), min(len(text), span.end)
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return Span(start, end, span.kind)


def _touches(last: Span, span: Span, text: str) -> bool:
    if span.start < last.end:
        return True
    return span.kind is last.kind and not text[last.end : span.start].strip()
