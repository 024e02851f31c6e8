"""Word error rate of the default transcription engine on real telephone calls, through our whole audio chain.

`wer`: both files of each call → decode → transcribe, as `ingest` and `transcribe` do it. `wer_over_bare`: that, less
the word error rate of the bare engine: the same pinned model, faster-whisper called on each WAV file as its README
does (beam of 5, its own voice activity filter, language given), everything else left as the library has it.

Fixed so that figures of two days compare: the calls, what people wrote down of them (tags such as `[noise]` left out),
Whisper's English normalizer applied to both sides, and the rate over all words of all calls together (substitutions +
deletions + insertions, divided by the words of the reference). A side's words are compared in its own order, so that
who speaks first in an overlap does not count. 356 words are few: one word is 0.28 points.

    python -m bench.wer
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass

import jiwer
from whisper_normalizer.english import EnglishTextNormalizer

from bench.real_calls import SIDES, RealCall, real_calls, sample_data
from domain.conversation import Role
from domain.engine import EngineConfig, EngineFamily
from domain.ids import derived_id
from engines.audio.decode import Decoder
from engines.protocols import TranscriptionEngine, TranscriptionRequest
from engines.transcription.registry import build
from engines.transcription.whisper_model import PINNED, find_model

MODEL = "tiny.en"
AIM_WER = 16.5
AIM_OVER_BARE = 0.5

_HOUR_MS = 3_600_000

Sides = Mapping[tuple[str, Role], str]
"""Words by call and side."""


@dataclass(frozen=True)
class Wer:
    """Percent of the reference's words, over all calls; `by_role` for each side alone."""

    wer: float
    by_role: Mapping[Role, float]
    words: int
    substitutions: int
    deletions: int
    insertions: int


@dataclass(frozen=True)
class WerReport:
    chain: Wer
    bare: Wer

    @property
    def over_bare(self) -> float:
        """Points our chain is worse than the bare engine; negative when it is better."""
        return round(self.chain.wer - self.bare.wer, 2)


def reference(calls: tuple[RealCall, ...]) -> dict[tuple[str, Role], str]:
    """What people wrote down."""
    return {
        (call.id, role): " ".join(said.text for said in call.said() if said.role is role)
        for call in calls
        for role in SIDES.values()
    }


def score(expected: Sides, heard: Sides) -> Wer:
    """Both sides of the comparison normalized alike. Raises KeyError when a side was not heard at all."""
    normalize = EnglishTextNormalizer()

    def compare(sides: list[tuple[str, Role]]) -> jiwer.WordOutput:
        return jiwer.process_words([normalize(expected[s]) for s in sides], [normalize(heard[s]) for s in sides])

    overall = compare(list(expected))
    by_role = {role: compare([side for side in expected if side[1] is role]).wer for role in SIDES.values()}
    return Wer(
        wer=round(100 * overall.wer, 2),
        by_role={role: round(100 * rate, 2) for role, rate in by_role.items()},
        words=overall.hits + overall.substitutions + overall.deletions,
        substitutions=overall.substitutions,
        deletions=overall.deletions,
        insertions=overall.insertions,
    )


def default_engine() -> TranscriptionEngine:
    return build(
        EngineConfig(
            id=derived_id("bench", "whisper"),
            name="whisper",
            family=EngineFamily.TRANSCRIPTION,
            kind="whisper",
            model=MODEL,
        )
    )


async def heard_by_chain(calls: tuple[RealCall, ...], engine: TranscriptionEngine) -> dict[tuple[str, Role], str]:
    """Decoded and transcribed as a conversation is."""
    decoder, heard = Decoder(), {}
    for call in calls:
        audio = await asyncio.to_thread(
            decoder.decode, call.files(), max_duration_ms=_HOUR_MS, progress=lambda share: None
        )
        answer = await engine.transcribe(audio, TranscriptionRequest(language="en"), lambda share: None)
        for role in SIDES.values():
            segments = (s.text for s in answer.transcript.segments if s.role is role)
            heard[call.id, role] = " ".join(segments)
    return heard


def heard_bare(calls: tuple[RealCall, ...]) -> dict[tuple[str, Role], str]:
    """The engine by itself, called on the files."""
    from faster_whisper import WhisperModel

    files = find_model(MODEL, download=False)
    model = WhisperModel(str(files.folder), device="cpu", compute_type="int8")
    heard = {}
    for call in calls:
        for side, role in SIDES.items():
            segments, _ = model.transcribe(str(call.path(side)), beam_size=5, language="en", vad_filter=True)
            heard[call.id, role] = " ".join(segment.text for segment in segments)
    return heard


async def measure() -> WerReport:
    """Raises FileNotFoundError when the sample data is not on this machine."""
    calls = real_calls()
    if not calls:
        raise FileNotFoundError(f"no sample data in {sample_data()} (set PARLEY_SAMPLE_DATA)")
    expected = reference(calls)
    chain = score(expected, await heard_by_chain(calls, default_engine()))
    bare = score(expected, await asyncio.to_thread(heard_bare, calls))
    return WerReport(chain, bare)


def as_json(report: WerReport) -> dict[str, object]:
    """For `.parley/bench.json`."""
    return {
        "wer": report.chain.wer,
        "wer_over_bare": report.over_bare,
        "aim": {"wer": AIM_WER, "wer_over_bare": AIM_OVER_BARE},
        "met": report.chain.wer <= AIM_WER and report.over_bare <= AIM_OVER_BARE,
        "wer_by_role": {role.value: rate for role, rate in report.chain.by_role.items()},
        "bare": report.bare.wer,
        "bare_by_role": {role.value: rate for role, rate in report.bare.by_role.items()},
        "words": report.chain.words,
        "model": f"{MODEL} {PINNED[MODEL]['model.bin'][:12]}",
    }


def main() -> None:
    print(json.dumps(as_json(asyncio.run(measure())), indent=2))


if __name__ == "__main__":
    main()
