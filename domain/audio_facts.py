"""Arithmetic on stretches of speech: what a supervisor asks of a call, from times alone.

Times are ms from the start of the call. A set of spans means the time they cover: what overlaps counts once.
"""

from collections.abc import Iterable, Mapping, Sequence

from domain.audio import SpeechSpan, TalkFacts
from domain.conversation import Role

ESTABLISHED_MS = 500
"""How long the other must have been speaking before a start can interrupt."""
TOGETHER_MS = 300
"""How long both must go on together for it to be an interruption and not a quick yes."""


def union(spans: Iterable[SpeechSpan]) -> tuple[SpeechSpan, ...]:
    """The same time as disjoint spans in order; spans that touch become one, empty ones vanish."""
    joined: list[SpeechSpan] = []
    for span in sorted((s for s in spans if s.end_ms > s.start_ms), key=lambda s: s.start_ms):
        if joined and span.start_ms <= joined[-1].end_ms:
            if span.end_ms > joined[-1].end_ms:
                joined[-1] = SpeechSpan(start_ms=joined[-1].start_ms, end_ms=span.end_ms)
        else:
            joined.append(span)
    return tuple(joined)


def length_ms(spans: Iterable[SpeechSpan]) -> int:
    """Time covered by the spans, in ms."""
    return sum(s.end_ms - s.start_ms for s in union(spans))


def talk_facts(speech: Mapping[Role, Sequence[SpeechSpan]], duration_ms: int) -> TalkFacts:
    """Talk, silence and interruptions of a call, one entry of `speech` per speaker.

    Speech is cut at `duration_ms`. Talk ratios are shares of the duration and may add up to more than 1 where people
    speak at once. Silence is time in which nobody speaks, the time before the first and after the last word included.
    Raises ValueError when the duration is not positive.
    """
    if duration_ms <= 0:
        raise ValueError("a call without duration has no talk facts")
    spoken = {role: _clipped(spans, duration_ms) for role, spans in speech.items()}
    anybody = union(span for spans in spoken.values() for span in spans)
    return TalkFacts(
        talk_ratio={role: length_ms(spans) / duration_ms for role, spans in spoken.items()},
        silence_ratio=(duration_ms - length_ms(anybody)) / duration_ms,
        longest_silence_ms=_longest_gap(anybody, duration_ms),
        interruptions={
            role: _interruptions(spans, [other for name, other in spoken.items() if name is not role])
            for role, spans in spoken.items()
        },
    )


def _clipped(spans: Iterable[SpeechSpan], duration_ms: int) -> tuple[SpeechSpan, ...]:
    return union(SpeechSpan(start_ms=min(s.start_ms, duration_ms), end_ms=min(s.end_ms, duration_ms)) for s in spans)


def _longest_gap(spoken: Sequence[SpeechSpan], duration_ms: int) -> int:
    ends = [0, *(s.end_ms for s in spoken)]
    starts = [*(s.start_ms for s in spoken), duration_ms]
    return max(start - end for end, start in zip(ends, starts, strict=True))


def _interruptions(mine: Sequence[SpeechSpan], others: Sequence[Sequence[SpeechSpan]]) -> int:
    """How often a span of mine starts into somebody else's. Two-pointer walk: both sides are in order."""
    count = 0
    position = [0] * len(others)
    for span in mine:
        for index, other in enumerate(others):
            while position[index] < len(other) and other[position[index]].end_ms <= span.start_ms:
                position[index] += 1
        count += any(
            _interrupts(span, other[position[index]])
            for index, other in enumerate(others)
            if position[index] < len(other)
        )
    return count


def _interrupts(starter: SpeechSpan, speaking: SpeechSpan) -> bool:
    established = starter.start_ms - speaking.start_ms >= ESTABLISHED_MS
    together = min(starter.end_ms, speaking.end_ms) - starter.start_ms >= TOGETHER_MS
    return established and together
