"""What a file is, told by its first bytes: never by its name or by what the sender says it is."""

from collections.abc import Callable
from enum import StrEnum

from domain.errors import UnsupportedMedia

SNIFF_BYTES = 4096
"""As many of the first bytes as are worth giving: enough for an MP3 whose tag holds no picture."""


class Container(StrEnum):
    """Audio containers that are read here."""

    WAV = "wav"
    FLAC = "flac"
    MP3 = "mp3"
    MP4 = "mp4"
    OGG = "ogg"
    ADTS = "adts"
    AU = "au"


READ_HERE = "WAV, AU, FLAC, MP3, M4A/AAC and OGG (Opus or Vorbis)"

_MAGICS = ((b"fLaC", Container.FLAC), (b"OggS", Container.OGG), (b".snd", Container.AU))
_IMAGE_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"mif1", b"msf1")


def sniff(head: bytes) -> Container | None:
    """The container these first bytes begin, None when it is none of those read here."""
    if head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE":
        return Container.WAV
    for magic, container in _MAGICS:
        if head.startswith(magic):
            return container
    if head[4:8] == b"ftyp" and head[8:12] not in _IMAGE_BRANDS:
        return Container.MP4
    if head.startswith(b"ID3"):
        # A tag before FLAC or AAC is against the rules and common; a tag longer than the head hides what follows.
        return sniff(head[_tag_length(head) :]) or Container.MP3
    return _mpeg_frame(head)


def require_audio(head: bytes, field: str) -> Container:
    """As `sniff`, or UnsupportedMedia against `field`, naming what the bytes are."""
    found = sniff(head)
    if found is None:
        raise UnsupportedMedia.of(field, f"this is {describe(head)}; {READ_HERE} are read here")
    return found


def describe(head: bytes) -> str:
    """What these bytes are, in a few words for a person: `a ZIP archive`."""
    if not head:
        return "an empty file"
    for matches, words in _KNOWN:
        if matches(head):
            return words
    if _is_text(head):
        return "a text file"
    return "not an audio file that can be recognised"


def _tag_length(head: bytes) -> int:
    """Length of an ID3v2 tag with its header: the size is 4 bytes of 7 bits each (ID3v2.4, section 3.1)."""
    if len(head) < 10:
        return len(head)
    size = 0
    for byte in head[6:10]:
        size = size << 7 | byte & 0x7F
    return size + 10


def _mpeg_frame(head: bytes) -> Container | None:
    """An MPEG audio frame header: 11 or 12 sync bits, then version, layer, bit rate, sample rate (ISO 11172-3)."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    layer = head[1] >> 1 & 0b11
    if head[1] & 0xF0 == 0xF0 and layer == 0:
        return Container.ADTS if head[2] >> 2 & 0b1111 < 13 else None
    version_known = head[1] >> 3 & 0b11 != 0b01
    bit_rate, sample_rate = head[2] >> 4, head[2] >> 2 & 0b11
    if layer == 0b01 and version_known and bit_rate not in (0, 0b1111) and sample_rate != 0b11:
        return Container.MP3
    return None


def _starts(*magics: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(magics)


def _riff(kind: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(b"RIFF") and head[8:12] == kind


def _is_html(head: bytes) -> bool:
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:64].lower()
    return start.startswith((b"<!doctype html", b"<html", b"<head", b"<body"))


def _is_text(head: bytes) -> bool:
    try:
        text = head[: -4 or None].decode() if len(head) >= SNIFF_BYTES else head.decode()
    except UnicodeDecodeError:
        return False
    return all(c.isprintable() or c in "\r\n\t\ufeff" for c in text)


_KNOWN: tuple[tuple[Callable[[bytes], bool], str], ...] = (
    (_starts(b"PK\x03\x04", b"PK\x05\x06"), "a ZIP archive (or an Office document)"),
    (_starts(b"\x1f\x8b"), "a gzip archive"),
    (_starts(b"7z\xbc\xaf\x27\x1c"), "a 7-Zip archive"),
    (_starts(b"Rar!\x1a\x07"), "a RAR archive"),
    (_starts(b"BZh"), "a bzip2 archive"),
    (_starts(b"\x28\xb5\x2f\xfd"), "a Zstandard archive"),
    (_starts(b"%PDF-"), "a PDF document"),
    (_starts(b"\x89PNG\r\n\x1a\n"), "a PNG image"),
    (_starts(b"\xff\xd8\xff"), "a JPEG image"),
    (_starts(b"GIF87a", b"GIF89a"), "a GIF image"),
    (_riff(b"WEBP"), "a WebP image"),
    (lambda head: head[4:8] == b"ftyp" and head[8:12] in _IMAGE_BRANDS, "an AVIF or HEIF image"),
    (_riff(b"AVI "), "an AVI video"),
    (_starts(b"\x1a\x45\xdf\xa3"), "a WebM or Matroska file"),
    (_starts(b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"), "a Windows Media file"),
    (_starts(b"FORM"), "an AIFF file"),
    (_starts(b"caff"), "a Core Audio file"),
    (_starts(b"#!AMR"), "an AMR file"),
    (_starts(b"MThd"), "a MIDI file"),
    (_starts(b"\x7fELF", b"MZ"), "a program"),
    (_starts(b"\xed\xab\xee\xdb", b"!<arch>"), "a software package"),
    (_starts(b"SQLite format 3"), "a database"),
    (_is_html, "a web page"),
    (lambda head: head.lstrip()[:1] in (b"{", b"[") and _is_text(head), "a JSON text"),
    (lambda head: head.lstrip()[:5] == b"<?xml", "an XML text"),
)
