"""Whether a file is all there. Each container says in its own way how much it should hold."""

from engines.audio.sniff import Container

_UNKNOWN_SIZES = (0, 0x7FFFFFFF, 0xFFFFFFFF)  # what programs write that stream a WAV and never come back to its head
_TOLERANCE_MS = 500

# Bit rates in kbit/s by index, layer III: MPEG 1, and MPEG 2 and 2.5 (ISO 11172-3 and 13818-3, table of bit rates).
_MPEG1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0)
_MPEG2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0)
_MPEG1_RATES = (44_100, 48_000, 32_000, 0)


def is_cut_off(
    container: Container, data: bytes, *, decoded_ms: int, stated_ms: int | None, last_packet: bytes
) -> bool:
    """True when the file ends before its own end.

    stated_ms: length as the demuxer reads it in the head, None when unknown; last_packet: the last one with data.
    """
    if container is Container.WAV:
        return _wav_is_short(data)
    if container is Container.AU:
        return _au_is_short(data)
    if container is Container.OGG:
        return not _ogg_ends(data)
    if container is Container.ADTS:
        return len(last_packet) < _adts_frame_length(last_packet)
    if container is Container.MP3 and not _mp3_states_its_length(data):
        return len(last_packet) < _mp3_frame_length(last_packet)
    return stated_ms is not None and decoded_ms < stated_ms - max(_TOLERANCE_MS, stated_ms // 100)


def _wav_is_short(data: bytes) -> bool:
    at = 12
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        if data[at : at + 4] == b"data":
            return size not in _UNKNOWN_SIZES and at + 8 + size > len(data)
        at += 8 + size + size % 2
    return True


def _au_is_short(data: bytes) -> bool:
    """The head says where the audio begins and how long it is, in big-endian words."""
    begins, size = (int.from_bytes(data[at : at + 4], "big") for at in (4, 8))
    return size not in _UNKNOWN_SIZES and begins + size > len(data)


def _ogg_ends(data: bytes) -> bool:
    """The last page is whole and carries the end-of-stream flag (RFC 3533, section 6)."""
    at = data.rfind(b"OggS")
    if at < 0 or at + 27 > len(data) or not data[at + 5] & 0x04:
        return False
    segments = data[at + 26]
    lacing = data[at + 27 : at + 27 + segments]
    return len(lacing) == segments and at + 27 + segments + sum(lacing) <= len(data)


def _adts_frame_length(frame: bytes) -> int:
    """The 13-bit frame length of an ADTS header (ISO 13818-7, section 6.2)."""
    if len(frame) < 7:
        return 7
    return (frame[3] & 0b11) << 11 | frame[4] << 3 | frame[5] >> 5


def _mp3_states_its_length(data: bytes) -> bool:
    """Whether the first frame is an encoder's summary; without one the demuxer only guesses the length."""
    first_frame = data[_after_tag(data) :][:4096]
    return any(mark in first_frame for mark in (b"Xing", b"Info", b"VBRI"))


def _after_tag(data: bytes) -> int:
    if not data.startswith(b"ID3") or len(data) < 10:
        return 0
    size = 0
    for byte in data[6:10]:
        size = size << 7 | byte & 0x7F
    return size + 10


def _mp3_frame_length(frame: bytes) -> int:
    """Bytes of a layer III frame by its header; 0 when it is not one."""
    if len(frame) < 4 or frame[0] != 0xFF or frame[1] & 0xE0 != 0xE0:
        return 0
    version = frame[1] >> 3 & 0b11
    index, rate_index, padding = frame[2] >> 4, frame[2] >> 2 & 0b11, frame[2] >> 1 & 1
    first_version = version == 0b11
    sample_rate = _MPEG1_RATES[rate_index] >> (0 if first_version else 1 if version == 0b10 else 2)
    if sample_rate == 0:
        return 0
    kbits = (_MPEG1 if first_version else _MPEG2)[index]
    return (144 if first_version else 72) * kbits * 1000 // sample_rate + padding
