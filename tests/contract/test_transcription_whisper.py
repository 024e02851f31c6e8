"""Whisper with its real model: words out of speech, nothing out of anything else, and files it can be sure of."""

import asyncio
import re
import shutil
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.wer import MODEL, default_engine, heard_by_chain, reference, score
from domain.conversation import Role
from domain.errors import EngineRejected, EngineUnavailable
from domain.transcript import Transcript
from engines.audio.speech import SAMPLE_RATE
from engines.protocols import AudioFile, TranscriptionEngine, TranscriptionRequest
from engines.transcription import whisper, whisper_model
from engines.transcription.registry import build
from engines.transcription.whisper import WhisperEngine
from engines.transcription.whisper_model import PINNED, WhisperModels, check_files, find_model
from engines.transcription.windows import windows_of
from tests.support import audio_files
from tests.support.calls import decoded, demo_call, real
from tests.support.transcription import AGENT, NO_PROGRESS, config, mixed, spoken, two_channels, wav_of


@pytest.fixture(scope="module")
def engine() -> TranscriptionEngine:
    return default_engine()


async def heard(
    engine: TranscriptionEngine, *files: AudioFile, request: TranscriptionRequest | None = None
) -> Transcript:
    answer = await engine.transcribe(decoded(*files), request or TranscriptionRequest(language="en"), NO_PROGRESS)
    return answer.transcript


@pytest.mark.parametrize(
    "sound",
    [
        audio_files.silence(40, 16_000),
        audio_files.noise(40, 16_000, level=0.002),
        audio_files.noise(40, 16_000, level=0.1),
        audio_files.music(40, 16_000),
        audio_files.beeps(40, 16_000),
        audio_files.tone(40, 16_000, 425),
        audio_files.tone(40, 16_000, 50, level=0.05),
    ],
    ids=["silence", "line noise", "loud noise", "hold music", "beeps", "dial tone", "mains hum"],
)
async def test_nothing_is_heard_where_nobody_speaks(engine: TranscriptionEngine, sound: audio_files.Shape) -> None:
    transcript = await heard(engine, AudioFile(audio_files.encode(sound, 16_000), (AGENT,)))
    assert [segment.text for segment in transcript.segments] == []


async def test_what_is_said_after_minutes_of_silence_is_where_it_was_said(engine: TranscriptionEngine) -> None:
    """The same words with and without 11 minutes of line noise before them: the same times, shifted."""
    agent, _ = spoken(14)
    rest = (audio_files.noise(660, SAMPLE_RATE, level=0.001) * 32_767).astype(np.int16)
    now = await heard(engine, AudioFile(wav_of(agent), (AGENT,)))
    later = await heard(engine, AudioFile(wav_of(np.concatenate([rest, agent])), (AGENT,)))
    assert len(now.segments) >= 2
    assert abs(later.segments[0].start_ms - 660_000 - now.segments[0].start_ms) < 500
    assert abs(later.segments[-1].end_ms - 660_000 - now.segments[-1].end_ms) < 500
    # the detector wakes a little later after minutes of noise: a soft first word may be lost, the rest is the same
    assert SequenceMatcher(None, plain_words(now), plain_words(later)).ratio() >= 0.7


def plain_words(transcript: Transcript) -> list[str]:
    return re.findall(r"[a-z0-9']+", " ".join(segment.text for segment in transcript.segments).lower())


async def test_a_demo_call_is_heard_turn_by_turn_in_order(engine: TranscriptionEngine) -> None:
    call = demo_call("call-0001")
    transcript = await heard(engine, *call.files)
    text = {role: " ".join(s.text for s in transcript.segments if s.role is role).lower() for role in Role}
    assert "bill" in text[Role.CUSTOMER]
    assert "discount" in text[Role.AGENT]
    order = [s.role for s in transcript.segments]
    changes = [role for role, before in zip(order, [None, *order], strict=False) if role is not before]
    turns = [role for role, _ in call.turns]
    assert changes[:4] == turns[:4]


@pytest.mark.slow
async def test_real_calls_are_heard_as_well_as_measured(engine: TranscriptionEngine) -> None:
    """The bench's aim, with room for another processor's rounding."""
    calls = real()
    wer = score(reference(calls), await heard_by_chain(calls, engine))
    assert wer.wer <= 16.5
    assert wer.by_role[Role.CUSTOMER] <= 10


async def test_speakers_of_one_channel_are_not_separated(engine: TranscriptionEngine) -> None:
    transcript = await heard(engine, mixed())
    assert not transcript.speakers_separated
    assert [note.code for note in transcript.notes] == ["speakers_not_separated"]
    assert {segment.role for segment in transcript.segments} == {None}


async def test_a_language_the_model_does_not_know_is_refused(engine: TranscriptionEngine) -> None:
    call = two_channels(2)
    for request in (TranscriptionRequest(language="de-AT"), TranscriptionRequest(candidates=("de", "fr"))):
        with pytest.raises(EngineRejected, match=r"tiny\.en does not know the language asked for: de"):
            await heard(engine, call, request=request)


@pytest.mark.parametrize(("candidates", "language"), [((), "en"), (("de", "en-GB"), "en-GB")])
async def test_a_model_for_english_takes_english_for_granted_and_says_so(
    engine: TranscriptionEngine, candidates: tuple[str, ...], language: str
) -> None:
    transcript = await heard(engine, two_channels(6), request=TranscriptionRequest(candidates=candidates))
    assert transcript.language == language
    assert transcript.language_ground.startswith("assumed")
    assert [note.code for note in transcript.notes] == ["language_assumed"]


async def test_who_gives_up_does_not_leave_the_work_running(
    engine: TranscriptionEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread cannot be cancelled; a cancelled transcription ends by itself after the window it is at."""
    [file] = demo_call("call-0002").files
    call = decoded(file, replace(file, offset_ms=300_000))
    windows = sum(len(list(windows_of(track.samples, track.sample_rate))) for track in call.tracks)
    heard_windows: list[int] = []

    def counted(model: Any, audio: Any, language: str, vocabulary: tuple[str, ...]) -> list[Any]:
        heard_windows.append(len(audio))
        return hear(model, audio, language, vocabulary)

    hear = whisper._heard
    monkeypatch.setattr(whisper, "_heard", counted)
    started = asyncio.Event()
    request = TranscriptionRequest(language="en")
    task = asyncio.create_task(engine.transcribe(call, request, lambda share: started.set()))
    await asyncio.wait_for(started.wait(), 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await heard(engine, two_channels(6))).segments  # two windows of its own
    assert len(heard_windows) <= 3 < windows


# -- the model's files -------------------------------------------------------------------------------------


def test_the_package_comes_before_cache_and_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whisper_model, "_from_hub", lambda *args, **kwargs: pytest.fail("the hub was asked"))
    assert find_model(MODEL).origin == "package"


def test_a_folder_that_is_set_comes_first(tmp_path: Path) -> None:
    (tmp_path / "model.bin").touch()
    found = find_model(MODEL, str(tmp_path))
    assert (found.folder, found.origin) == (tmp_path, "setting")
    with pytest.raises(EngineRejected, match=r"no model\.bin"):
        find_model(MODEL, str(tmp_path / "elsewhere"))


def test_a_model_that_is_nowhere_is_told_with_the_places_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(EngineUnavailable, match="not in the cache"):
        find_model("base.en")
    with pytest.raises(EngineRejected, match="there is no Whisper model gigantic"):
        find_model("gigantic")


def test_the_cache_is_looked_at_before_the_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[bool] = []

    def hub(name: str, *, local_files_only: bool) -> Path | None:
        asked.append(local_files_only)
        return None if local_files_only else tmp_path

    monkeypatch.setattr(whisper_model, "_from_hub", hub)
    assert find_model("base.en").origin == "hub"
    assert asked == [True, False]
    with pytest.raises(EngineUnavailable):
        find_model("base.en", download=False)


def copied_model(folder: Path) -> Path:
    shutil.copytree(find_model(MODEL).folder, folder)
    return folder


@pytest.mark.parametrize("name", sorted(PINNED[MODEL]))
def test_every_file_is_checked(tmp_path: Path, name: str) -> None:
    folder = copied_model(tmp_path / "model")
    check_files(folder, PINNED[MODEL])
    with (folder / name).open("r+b") as file:
        file.seek(100)
        file.write(b"!")
    with pytest.raises(EngineRejected, match=f"{name} is not the one that is pinned"):
        check_files(folder, PINNED[MODEL])
    (folder / name).unlink()
    with pytest.raises(EngineRejected, match=f"no file {name}"):
        check_files(folder, PINNED[MODEL])


async def test_a_model_that_is_not_the_pinned_one_is_not_loaded(tmp_path: Path) -> None:
    folder = copied_model(tmp_path / "model")
    (folder / "config.json").write_text("{}")
    refused = WhisperEngine(config("whisper", MODEL, model_folder=str(folder)), WhisperModels())
    with pytest.raises(EngineRejected, match=r"config\.json"):
        await refused.test()


async def test_an_operators_own_hashes_are_checked_too(tmp_path: Path) -> None:
    folder = copied_model(tmp_path / "model")

    def engine_with(digest: str) -> WhisperEngine:
        own = config("whisper", "our-own", model_folder=str(folder), model_sha256={"model.bin": digest})
        return WhisperEngine(own, WhisperModels())

    with pytest.raises(EngineRejected, match=r"model\.bin"):
        await engine_with("0" * 64).test()
    assert "our-own from the setting" in await engine_with(PINNED[MODEL]["model.bin"]).test()


def test_a_model_that_is_damaged_and_not_pinned_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"not a model")
    files = find_model("our-own", str(tmp_path))
    with pytest.raises(EngineRejected, match="cannot be loaded"):
        WhisperModels().load(files, {}, 1)


def test_a_model_is_loaded_once_however_many_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    loads: Counter[Path] = Counter()
    models = WhisperModels()

    def load(files: whisper_model.ModelFiles, cpu_threads: int) -> Any:
        loads[files.folder] += 1
        return object()

    monkeypatch.setattr(models, "_load", load)
    files = find_model(MODEL)
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: id(models.load(files, PINNED[MODEL], 2)), range(8)))
    assert len(found) == 1
    assert list(loads.values()) == [1]


def test_parameters_that_are_not_valid_are_told_when_the_engine_is_built() -> None:
    with pytest.raises(EngineRejected, match="cpu_threads"):
        build(config("whisper", MODEL, cpu_threads=-1), None)
    with pytest.raises(EngineRejected, match="beam"):
        build(config("whisper", MODEL, beam=1), None)
    with pytest.raises(EngineRejected, match="no transcription engine of kind"):
        build(config("sphinx", MODEL), None)
