"""From words with times to segments: what every engine's answer becomes."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from domain.conversation import Note, Role
from domain.transcript import Segment, Word

LONGEST_PAUSE_MS = 1_000
"""A speaker who is silent for longer begins a new segment, or the other's words would come out of order."""

SPEAKERS_NOT_SEPARATED = Note(
    code="speakers_not_separated",
    detail="several people speak on one channel and nothing tells them apart: who said what is not known",
)


@dataclass(frozen=True)
class Speaker:
    """Who a track's words belong to. `label` is the engine's own name for a voice, if it tells voices apart."""

    channel: int
    role: Role | None
    label: str | None = None


def segments_of(words: Iterable[Word], speaker: Speaker, language: str | None) -> Iterator[Segment]:
    """Segments of one speaker's words, which come in order; a new one begins after a pause.

    The text is the words put together: each word carries its own space before it. Confidence is the words' mean.
    """
    together: list[Word] = []
    for word in words:
        if together and word.start_ms - together[-1].end_ms > LONGEST_PAUSE_MS:
            yield _segment(together, speaker, language)
            together = []
        together.append(word)
    if together:
        yield _segment(together, speaker, language)


def in_order(segments: Iterable[Segment]) -> tuple[Segment, ...]:
    """By start, then by channel: the order of a transcript."""
    return tuple(sorted(segments, key=lambda s: (s.start_ms, s.end_ms, s.channel or 0)))


def _segment(words: Sequence[Word], speaker: Speaker, language: str | None) -> Segment:
    return Segment(
        start_ms=words[0].start_ms,
        end_ms=max(word.end_ms for word in words),
        text="".join(word.text for word in words).strip(),
        channel=speaker.channel,
        speaker=speaker.label,
        role=speaker.role,
        language=language,
        words=tuple(word.model_copy(update={"text": word.text.strip()}) for word in words),
        confidence=mean_confidence(words),
    )


def mean_confidence(words: Sequence[Word]) -> float | None:
    """Mean of the words' confidences, None when no word has one."""
    known = [word.confidence for word in words if word.confidence is not None]
    return round(sum(known) / len(known), 4) if known else None
