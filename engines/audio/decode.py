"""From files as they were handed in to one track a speaker, at one rate, in the call's own time.

Memory: the files, plus 115 MB an hour and speaker (16 bit, 16 kHz; `docs/adr` says why not floats), plus a few MB. A
three-hour call with two speakers needs about 0.7 GB and its file.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from domain.audio import AudioFacts, SpeechSpan, TalkFacts
from domain.audio_facts import length_ms, talk_facts
from domain.conversation import Note, Role
from domain.errors import TooLarge, UndecodableContent, UnsupportedMedia
from engines.audio.reader import AudioReader, in_words
from engines.audio.speech import SAMPLE_RATE, speech_spans
from engines.audio.tracks import Block, TrackBuilder
from engines.protocols import AudioFile, CallAudio, Progress, Samples, SpeakerTrack

SHORTEST_MS = 100
"""Less than this is no recording."""
MOST_TRACKS = 8
_DECODING_SHARE = 0.8  # of the time; the rest is looking for speech
_BATCH_SECONDS = 1.0


@dataclass(frozen=True)
class _DecodedFile:
    container: str
    codec: str
    sample_rate: int
    tracks: tuple[Samples, ...]
    notes: tuple[Note, ...]


class Decoder:
    """Fulfils `engines.protocols.AudioDecoder`. Holds nothing: one may serve many threads."""

    def decode(self, files: Sequence[AudioFile], *, max_duration_ms: int, progress: Progress) -> CallAudio:
        """Decodes, resamples, and finds speech. `max_duration_ms` bounds the end of every track in the call's time,
        and half of all tracks' time together."""
        _require_sensible(files)
        decoded: list[_DecodedFile] = []
        left_ms = 2 * max_duration_ms
        for number, file in enumerate(files):
            field = f"audio[{number}]"
            room_ms = min(max_duration_ms - file.offset_ms, left_ms // len(file.speakers))
            if room_ms <= 0:
                raise TooLarge.of(field, f"it starts after the {in_words(max_duration_ms)} a call may last")
            one = _decode_file(file, field, room_ms, _part(progress, number, len(files)))
            decoded.append(one)
            left_ms -= sum(_ms(samples) for samples in one.tracks)
        tracks = _tracks(files, decoded, progress)
        progress(1.0)
        return CallAudio(tracks=tracks, facts=_facts(decoded, tracks), files=tuple(files))


def _part(progress: Progress, number: int, total: int) -> Progress:
    return lambda share: progress((number + share) / total * _DECODING_SHARE)


def _require_sensible(files: Sequence[AudioFile]) -> None:
    if not files:
        raise UndecodableContent("the call has no audio file")
    if any(not file.speakers for file in files):
        raise ValueError("every audio file names the speaker of each of its channels")
    if sum(len(file.speakers) for file in files) > MOST_TRACKS:
        raise UnsupportedMedia.of("audio", f"a call may have {MOST_TRACKS} channels in all")


def _decode_file(file: AudioFile, field: str, max_ms: int, progress: Progress) -> _DecodedFile:
    reader = AudioReader(file.data, field, channels=len(file.speakers), max_ms=max_ms)
    builders: list[TrackBuilder] = []
    batch: list[Block] = []
    waiting = 0

    def flush() -> None:
        joined = np.concatenate(batch, axis=1)
        for builder, channel in zip(builders, joined, strict=True):
            builder.append(np.ascontiguousarray(channel))
        batch.clear()

    for block in reader.blocks():
        if not builders:
            builders = [TrackBuilder(reader.sample_rate) for _ in file.speakers]
        batch.append(block)
        waiting += block.shape[1]
        if waiting >= _BATCH_SECONDS * reader.sample_rate:
            flush()
            waiting = 0
            progress(reader.share_read)
    if batch:
        flush()
    tracks = tuple(builder.finish() for builder in builders)
    if _ms(tracks[0]) < SHORTEST_MS:
        raise UndecodableContent(f"{field}: it holds only {_ms(tracks[0])} ms of audio")
    return _DecodedFile(reader.container.value, reader.codec, reader.sample_rate, tracks, reader.notes)


def _tracks(
    files: Sequence[AudioFile], decoded: Sequence[_DecodedFile], progress: Progress
) -> tuple[SpeakerTrack, ...]:
    total = sum(len(one.tracks) for one in decoded)
    tracks: list[SpeakerTrack] = []
    for file, one in zip(files, decoded, strict=True):
        for role, samples in zip(file.speakers, one.tracks, strict=True):
            tracks.append(
                SpeakerTrack(
                    role=role,
                    channel=len(tracks),
                    samples=samples,
                    sample_rate=SAMPLE_RATE,
                    speech=speech_spans(samples, file.offset_ms),
                    start_ms=file.offset_ms,
                )
            )
            progress(_DECODING_SHARE + (1 - _DECODING_SHARE) * len(tracks) / total)
    return tuple(tracks)


def _facts(decoded: Sequence[_DecodedFile], tracks: Sequence[SpeakerTrack]) -> AudioFacts:
    duration_ms = max(track.end_ms for track in tracks)
    speech_ms = length_ms(span for track in tracks for span in track.speech)
    talk, why_not = _talk(tracks, duration_ms)
    notes = [note for one in decoded for note in one.notes]
    if why_not is not None:
        notes.append(Note(code="talk_not_available", detail=why_not))
    if speech_ms == 0:
        notes.append(Note(code="no_speech", detail="nobody speaks in this recording"))
    return AudioFacts(
        container=_joined(decoded, lambda one: one.container),
        codec=_joined(decoded, lambda one: one.codec),
        sample_rate=min(one.sample_rate for one in decoded),
        channels=len(tracks),
        duration_ms=duration_ms,
        speech_ms=speech_ms,
        talk=talk,
        notes=tuple(notes),
    )


def _talk(tracks: Sequence[SpeakerTrack], duration_ms: int) -> tuple[TalkFacts | None, str | None]:
    """Talk facts, or why there are none."""
    if len(tracks) == 1:
        return None, "not available: one channel"
    speech: dict[Role, list[SpeechSpan]] = {}
    for track in tracks:
        if track.role is None:
            return None, "not available: several speakers on one channel"
        speech.setdefault(track.role, []).extend(track.speech)
    if len(speech) == 1:
        return None, "not available: only one side was recorded"
    return talk_facts(speech, duration_ms), None


def _joined(decoded: Sequence[_DecodedFile], name: Callable[[_DecodedFile], str]) -> str:
    """`wav`, or `wav+mp3` where files differ."""
    return "+".join(dict.fromkeys(name(one) for one in decoded))


def _ms(samples: Samples) -> int:
    return len(samples) * 1000 // SAMPLE_RATE
