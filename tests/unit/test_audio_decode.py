"""Decoding: every container and rate, and everything a file can be that is not a call."""

import threading
from collections.abc import Callable

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.audio import SpeechSpan
from domain.conversation import Role
from domain.errors import ParleyError, TooLarge, UndecodableContent, UnsupportedMedia
from engines.audio.decode import MOST_TRACKS, Decoder
from engines.audio.speech import SAMPLE_RATE
from engines.protocols import AudioDecoder, AudioFile, CallAudio
from tests.support.audio_files import Shape, encode, noise, silence, tone, voice, wav

AGENT, CUSTOMER = Role.AGENT, Role.CUSTOMER
MINUTES = 60_000


def decode(*files: AudioFile, minutes: float = 60, progress: Callable[[float], None] = lambda share: None) -> CallAudio:
    decoder: AudioDecoder = Decoder()
    return decoder.decode(files, max_duration_ms=round(minutes * MINUTES), progress=progress)


def mono(data: bytes, role: Role | None = AGENT, offset_ms: int = 0) -> AudioFile:
    return AudioFile(data, (role,), offset_ms)


def stereo(data: bytes) -> AudioFile:
    return AudioFile(data, (AGENT, CUSTOMER))


def codes(call: CallAudio) -> set[str]:
    return {note.code for note in call.facts.notes}


def dialogue(rate: int = 8_000) -> Shape:
    """Two channels of 6 s: the agent from 0 to 2 s, the customer from 3 s to 5 s."""
    agent = np.concatenate([voice(2, rate), silence(4, rate)])
    customer = np.concatenate([silence(3, rate), voice(2, rate, seed=9), silence(1, rate)])
    return np.stack([agent, customer])


def hertz(samples: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(samples.astype(np.float32)))
    return float(np.argmax(spectrum) * SAMPLE_RATE / len(samples))


def near(span: SpeechSpan, start: int, end: int, tolerance: int = 300) -> bool:
    return abs(span.start_ms - start) <= tolerance and abs(span.end_ms - end) <= tolerance


@pytest.mark.parametrize(
    ("form", "rate", "codec"),
    [
        ("wav", 8_000, "pcm_s16le"),
        ("wav", 8_000, "pcm_mulaw"),
        ("wav", 8_000, "pcm_alaw"),
        ("wav", 8_000, "pcm_u8"),
        ("wav", 44_100, "pcm_s24le"),
        ("wav", 16_000, "pcm_f32le"),
        ("wav", 8_000, "adpcm_ms"),
        ("au", 8_000, "pcm_mulaw"),
        ("au", 8_000, "pcm_alaw"),
        ("au", 8_000, "pcm_s8"),
        ("au", 16_000, "pcm_s16be"),
        ("flac", 48_000, None),
        ("mp3", 22_050, None),
        ("mp3", 8_000, None),
        ("m4a", 32_000, None),
        ("m4a", 11_025, "alac"),
        ("ogg", 8_000, None),
        ("ogg", 48_000, None),
        ("adts", 16_000, None),
    ],
)
def test_every_container_codec_and_rate(form: str, rate: int, codec: str | None) -> None:
    """The tone of each channel comes out on its track, at the right height, length and loudness."""
    both = np.stack([tone(3, rate, 440), tone(3, rate, 1000, level=0.15)])
    call = decode(stereo(encode(both, rate, form, codec)))
    assert [track.role for track in call.tracks] == [AGENT, CUSTOMER]
    assert [track.channel for track in call.tracks] == [0, 1]
    assert call.facts.channels == 2
    assert abs(call.facts.duration_ms - 3_000) <= 250  # encoders may add a frame before and after
    for track, expected, level in zip(call.tracks, (440, 1000), (0.3, 0.15), strict=True):
        assert track.samples.dtype == np.int16
        assert track.sample_rate == SAMPLE_RATE
        middle = track.samples[SAMPLE_RATE : 2 * SAMPLE_RATE]
        assert hertz(middle) == pytest.approx(expected, abs=3)
        assert np.abs(middle).max() / 32767 == pytest.approx(level, rel=0.15)
    assert codes(call) <= {"no_speech"}


def test_talk_facts_of_two_channels_and_of_two_files_are_the_same() -> None:
    both = dialogue()
    one_file = decode(stereo(encode(both, 8_000)))
    two_files = decode(mono(encode(both[0], 8_000), AGENT), mono(encode(both[1], 8_000), CUSTOMER))
    assert one_file.facts.talk is not None
    assert one_file.facts == two_files.facts
    assert near(one_file.tracks[0].speech[0], 0, 2_000)
    assert near(one_file.tracks[1].speech[0], 3_000, 5_000)
    assert one_file.facts.talk.talk_ratio[AGENT] == pytest.approx(2 / 6, abs=0.06)
    assert one_file.facts.speech_ms == pytest.approx(4_000, abs=500)


def test_an_offset_moves_a_file_in_the_calls_time_and_costs_no_memory() -> None:
    late = decode(mono(encode(voice(2), 8_000), AGENT), mono(encode(voice(2), 8_000), CUSTOMER, offset_ms=30 * MINUTES))
    customer = late.tracks[1]
    assert customer.start_ms == 30 * MINUTES
    assert customer.end_ms == late.facts.duration_ms == 30 * MINUTES + 2_000
    assert near(customer.speech[0], 30 * MINUTES, 30 * MINUTES + 2_000)
    assert len(customer.samples) == 2 * SAMPLE_RATE
    assert late.facts.talk is not None
    assert late.facts.talk.silence_ratio > 0.99


def test_files_of_different_kinds_make_one_call() -> None:
    call = decode(mono(encode(voice(2), 8_000), AGENT), mono(encode(voice(3, 16_000), 16_000, "flac"), CUSTOMER))
    assert (call.facts.container, call.facts.codec) == ("wav+flac", "pcm_s16le+flac")
    assert (call.facts.sample_rate, call.facts.channels) == (8_000, 2)


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ((mono(encode(voice(2), 8_000), None),), "one channel"),
        ((mono(encode(voice(2), 8_000), AGENT),), "one channel"),
        ((AudioFile(encode(dialogue(), 8_000), (AGENT, None)),), "several speakers"),
        ((AudioFile(encode(dialogue(), 8_000), (AGENT, AGENT)),), "only one side"),
    ],
)
def test_talk_facts_need_a_channel_for_each_speaker(files: tuple[AudioFile, ...], reason: str) -> None:
    call = decode(*files)
    assert call.facts.talk is None
    note = next(note for note in call.facts.notes if note.code == "talk_not_available")
    assert note.detail.startswith("not available: ")
    assert reason in note.detail


@pytest.mark.parametrize("sound", [silence(3), noise(3, level=0.002)])
def test_a_call_without_speech_is_a_call_and_says_so(sound: Shape) -> None:
    call = decode(stereo(encode(np.stack([sound, sound]), 8_000)))
    assert call.facts.speech_ms == 0
    assert codes(call) == {"no_speech"}
    assert call.facts.talk is not None
    assert call.facts.talk.silence_ratio == 1.0


@pytest.mark.parametrize("form", ["wav", "au", "flac", "mp3", "ogg", "adts"])
def test_a_truncated_file_is_decoded_as_far_as_it_goes_and_noted(form: str) -> None:
    whole = encode(noise(10), 8_000, form)
    call = decode(mono(whole[: len(whole) * 6 // 10 + 3]))
    assert 4_500 <= call.facts.duration_ms <= 7_500  # an Ogg page is a second
    assert "audio_truncated" in codes(call)
    assert codes(decode(mono(whole))) <= {"talk_not_available", "no_speech"}


def test_a_truncated_mp3_without_a_summary_frame_is_noticed_by_its_last_frame() -> None:
    whole = encode(noise(10), 8_000, "mp3")
    bare = whole[whole.index(b"Info" if b"Info" in whole else b"Xing") + 100 :]
    bare = bare[bare.index(b"\xff\xe3") :]
    assert "audio_truncated" not in codes(decode(mono(bare)))
    assert "audio_truncated" in codes(decode(mono(bare[: len(bare) // 2 + 11])))


@pytest.mark.parametrize("form", ["wav", "flac", "mp3", "m4a", "ogg", "adts"])
def test_a_file_truncated_to_its_head_is_undecodable(form: str) -> None:
    with pytest.raises(UndecodableContent, match=r"audio\[0\]"):
        decode(mono(encode(noise(5), 8_000, form)[:70]))


def test_an_m4a_cut_before_its_index_is_undecodable() -> None:
    whole = encode(noise(5), 8_000, "m4a")
    with pytest.raises(UndecodableContent):
        decode(mono(whole[: len(whole) // 2]))


@pytest.mark.parametrize("stated", [0, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_streamed_wav_that_does_not_know_its_size_is_whole(stated: int) -> None:
    call = decode(mono(wav(bytes(32_000), rate=8_000, stated=stated)))
    assert call.facts.duration_ms == 2_000
    assert "audio_truncated" not in codes(call)


def test_a_tiny_wav_that_claims_hours_holds_what_it_holds() -> None:
    call = decode(mono(wav(bytes(32_000), rate=8_000, stated=2_000_000_000)))
    assert call.facts.duration_ms == 2_000
    assert "audio_truncated" in codes(call)


def test_eight_bit_and_companded_telephone_audio_keep_their_loudness_and_silence() -> None:
    """Unsigned bytes have their zero in the middle, mu-law and A-law have two: none of it may become a hum."""
    sound = np.concatenate([silence(1), tone(1), silence(1)])
    for form, codec in (("wav", "pcm_u8"), ("wav", "pcm_mulaw"), ("wav", "pcm_alaw"), ("au", "pcm_mulaw")):
        track = decode(mono(encode(sound, 8_000, form, codec))).tracks[0].samples
        quiet = np.concatenate([track[: SAMPLE_RATE * 9 // 10], track[-SAMPLE_RATE * 9 // 10 :]])
        assert np.abs(quiet).max() < 300, codec
        assert abs(int(np.abs(track).max()) - 9_830) < 800, codec


def test_what_is_lost_in_the_middle_keeps_its_time() -> None:
    """A hole in an Ogg file is silence: what follows stays where it was said."""
    sound = np.concatenate([tone(3), silence(4), tone(3, hertz=1000)])
    whole = encode(sound, 8_000, "ogg")
    pages = [at for at in range(len(whole)) if whole.startswith(b"OggS", at)]
    start, end = pages[len(pages) * 4 // 10], pages[len(pages) * 6 // 10]
    call = decode(mono(whole[:start] + whole[end:]))
    assert call.facts.duration_ms == pytest.approx(10_000, abs=100)
    assert "audio_gaps" in codes(call)
    assert hertz(call.tracks[0].samples[8 * SAMPLE_RATE : 9 * SAMPLE_RATE]) == pytest.approx(1000, abs=3)


def test_audio_longer_than_allowed_is_refused_while_it_is_decoded() -> None:
    """Silence compresses well: a small FLAC that unpacks into an hour, with and without saying so in its head."""
    bomb = encode(silence(3_600), 8_000, "flac")
    assert len(bomb) < 3_600 * 16_000 / 50
    with pytest.raises(TooLarge, match="longer than"):
        decode(mono(bomb), minutes=10)
    unsaid = bytearray(bomb)
    unsaid[21:26] = bytes([unsaid[21] & 0xF0, 0, 0, 0, 0])  # STREAMINFO: total samples unknown
    with pytest.raises(TooLarge, match="longer than"):
        decode(mono(bytes(unsaid)), minutes=10)


def test_the_limit_holds_for_the_calls_time_and_for_all_channels_together() -> None:
    minute = encode(silence(60), 8_000, "flac")
    with pytest.raises(TooLarge):
        decode(mono(minute), mono(minute, CUSTOMER, offset_ms=100_000), minutes=2)
    with pytest.raises(TooLarge):
        decode(mono(minute), mono(minute, CUSTOMER, offset_ms=3 * MINUTES), minutes=2)
    with pytest.raises(TooLarge):
        decode(*[mono(minute, offset_ms=n) for n in range(4)], minutes=1.5)


@pytest.mark.parametrize("said", [(AGENT,), (AGENT, CUSTOMER, Role.BOT)])
def test_another_number_of_channels_than_said(said: tuple[Role, ...]) -> None:
    with pytest.raises(UndecodableContent, match="2 channel"):
        decode(AudioFile(encode(dialogue(), 8_000), said))


@pytest.mark.parametrize("form", ["m4a", "flac", "wav"])
def test_a_file_with_eight_channels_is_refused_before_it_is_touched(form: str) -> None:
    """PyAV reads out of bounds there, which ends the process."""
    many = encode(np.stack([tone(1, 16_000)] * 8), 16_000, form)
    with pytest.raises(UndecodableContent, match="8 channel"):
        decode(mono(many))
    with pytest.raises(UnsupportedMedia, match="6 channels"):
        decode(AudioFile(many, (AGENT, CUSTOMER) * 4))


@pytest.mark.parametrize("rate", [96_000, 4_000])
def test_a_rate_that_is_not_read_here(rate: int) -> None:
    with pytest.raises(UnsupportedMedia, match=f"{rate} Hz"):
        decode(mono(encode(tone(1, rate), rate)))


def test_a_video_without_sound() -> None:
    from io import BytesIO

    out = BytesIO()
    with av.open(out, "w", format="mp4") as target:
        stream = target.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for _ in range(10):
            frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    with pytest.raises(UnsupportedMedia, match="only video"):
        decode(mono(out.getvalue()))


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", UnsupportedMedia),
        (b"PK\x03\x04" + bytes(4_000), UnsupportedMedia),
        (wav(b"", rate=8_000), UndecodableContent),
        (wav(bytes(1_000), rate=8_000), UndecodableContent),
        (wav(bytes(1_000), rate=0), UndecodableContent),
        (wav(bytes(4_000), rate=8_000, kind=0xBEEF), UnsupportedMedia),
    ],
)
def test_what_is_no_call(data: bytes, error: type[ParleyError]) -> None:
    with pytest.raises(error):
        decode(mono(data))


def test_a_float_wav_may_hold_anything() -> None:
    wild = np.array([np.nan, np.inf, -np.inf, 1e30, -2.0] * 4_000, dtype=np.float32)
    call = decode(mono(wav(wild.tobytes(), rate=16_000, bits=32, kind=3)))
    assert set(np.unique(call.tracks[0].samples)) == {-32767, 0, 32767}


def test_too_many_channels_and_no_files() -> None:
    with pytest.raises(UndecodableContent):
        decode()
    with pytest.raises(UnsupportedMedia):
        decode(*[mono(encode(silence(1), 8_000))] * (MOST_TRACKS + 1))


def test_progress_rises_to_one() -> None:
    shares: list[float] = []
    decode(mono(encode(noise(20), 8_000, "mp3")), mono(encode(noise(20), 8_000), CUSTOMER), progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert len(shares) > 20


def test_one_decoder_serves_many_threads() -> None:
    decoder, data = Decoder(), encode(dialogue(), 8_000, "mp3")
    found: list[CallAudio] = []

    def work() -> None:
        found.append(decoder.decode([stereo(data)], max_duration_ms=MINUTES, progress=lambda share: None))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 4
    assert all(np.array_equal(one.tracks[1].samples, found[0].tracks[1].samples) for one in found)


SMALL = {form: encode(noise(1, 16_000), 16_000, form) for form in ("wav", "au", "flac", "mp3", "m4a", "ogg", "adts")}


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(form=st.sampled_from(sorted(SMALL)), data=st.data())
def test_damage_of_any_kind_is_an_answer_of_ours(form: str, data: st.DataObject) -> None:
    """Bytes changed and dropped anywhere: a call that is noted, or an error of the tree; never anything else."""
    content = bytearray(SMALL[form])
    for at in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=20)):
        content[at] = data.draw(st.integers(0, 255))
    start = data.draw(st.integers(0, len(content)))
    del content[start : start + data.draw(st.integers(0, 2_000))]
    try:
        call = decode(mono(bytes(content)), minutes=1)
    except (UnsupportedMedia, UndecodableContent, TooLarge):
        pass
    else:
        assert 0 < call.facts.duration_ms <= MINUTES
        assert all(0 <= s.start_ms < s.end_ms <= call.facts.duration_ms for s in call.tracks[0].speech)
