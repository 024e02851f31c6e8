"""What a file is, told by its first bytes."""

import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import UnsupportedMedia
from engines.audio.sniff import SNIFF_BYTES, Container, describe, require_audio, sniff
from tests.support.audio_files import encode, silence


@pytest.mark.parametrize(
    ("form", "container"),
    [
        ("wav", Container.WAV),
        ("au", Container.AU),
        ("flac", Container.FLAC),
        ("mp3", Container.MP3),
        ("m4a", Container.MP4),
        ("ogg", Container.OGG),
        ("adts", Container.ADTS),
    ],
)
def test_every_container_that_is_read_is_recognised(form: str, container: Container) -> None:
    assert sniff(encode(silence(1), 8_000, form)[:SNIFF_BYTES]) is container


def test_an_mp3_without_a_tag_and_a_flac_behind_one_are_recognised() -> None:
    tag = b"ID3\x04\x00\x00\x00\x00\x00\x0a" + bytes(10)
    assert sniff(b"\xff\xfb\x90\x64" + bytes(400)) is Container.MP3
    assert sniff(tag + b"fLaC" + bytes(40)) is Container.FLAC
    assert sniff(tag + b"\xff\xf1\x60\x80" + bytes(40)) is Container.ADTS


def a_zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("call.wav", b"RIFF")
    return out.getvalue()


@pytest.mark.parametrize(
    ("head", "named"),
    [
        (a_zip(), "a ZIP archive"),
        (b"", "an empty file"),
        (b"%PDF-1.7\n", "a PDF document"),
        (b"\x89PNG\r\n\x1a\n" + bytes(20), "a PNG image"),
        (b"\xff\xd8\xff\xe0" + bytes(20), "a JPEG image"),
        (b"RIFF\x00\x00\x00\x00AVI LIST", "an AVI video"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "a WebP image"),
        (b"\x00\x00\x00\x1cftypavif" + bytes(20), "an AVIF or HEIF image"),
        (b"\x1a\x45\xdf\xa3" + bytes(20), "a WebM or Matroska file"),
        (b"\r\n<!DOCTYPE html><html>", "a web page"),
        (b'{"audio": "UklGRg=="}', "a JSON text"),
        ("Anruf vom 3. März".encode(), "a text file"),
        ("ü".encode() * SNIFF_BYTES, "a text file"),
        (b"\xff\xfeh\x00e\x00", "not an audio file that can be recognised"),
        (b"#!AMR\n" + bytes(20), "an AMR file"),
        (b"\x7fELF" + bytes(20), "a program"),
    ],
)
def test_what_is_not_audio_is_refused_by_its_name(head: bytes, named: str) -> None:
    head = head[:SNIFF_BYTES]
    assert named in describe(head)
    with pytest.raises(UnsupportedMedia) as refused:
        require_audio(head, "audio[0]")
    assert refused.value.problems[0].field == "audio[0]"
    assert named in refused.value.problems[0].reason
    assert "WAV" in refused.value.problems[0].reason


@given(st.binary(max_size=64))
def test_any_bytes_get_an_answer(head: bytes) -> None:
    assert sniff(head) is None or isinstance(sniff(head), Container)
    assert describe(head)
