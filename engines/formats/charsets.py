"""Bytes as text, whatever their sender says or forgets to say about them."""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass

from charset_normalizer import from_bytes

_SAMPLE = 16_384
_FEWEST_TO_GUESS = 24
"""Bytes beyond ASCII that a guess needs: fewer look right in any code page."""

_USUAL = "cp1252"

_WIDER = {
    "iso8859-1": "cp1252",  # what is said to be Latin-1 is mostly the Windows code page (as browsers read it)
    "ascii": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "euc_kr": "cp949",
    "shift_jis": "cp932",
    "big5": "big5hkscs",
}
_OTHER_NAMES = {
    "utf8mb4": "utf-8",
    "utf-8-sig": "utf-8",
    "unicode-1-1-utf-8": "utf-8",
    "iso-8859-8-i": "iso8859-8",
    "iso-8859-8-e": "iso8859-8",
    "windows-874": "cp874",
    "x-mac-roman": "mac-roman",
    "x-sjis": "cp932",
    "x-gbk": "gb18030",
}
_NAMES = """
    utf-8 utf-16 utf-16-le utf-16-be utf-32 utf-32-le utf-32-be utf-7
    cp1250 cp1251 cp1252 cp1253 cp1254 cp1255 cp1256 cp1257 cp1258 cp874 cp437 cp850 cp852 cp866 cp932 cp949
    iso8859-2 iso8859-3 iso8859-4 iso8859-5 iso8859-6 iso8859-7 iso8859-8 iso8859-10 iso8859-13 iso8859-14 iso8859-15
    iso8859-16 koi8-r koi8-u gb18030 hz big5hkscs euc_jp euc_jis_2004 iso2022_jp iso2022_jp_1 iso2022_jp_2 iso2022_jp_3
    iso2022_jp_ext iso2022_kr shift_jis_2004 tis-620 mac-roman mac-cyrillic mac-greek mac-latin2 mac-turkish johab
    kz1048 ptcp154
"""
_READ = frozenset(_NAMES.split())
"""The codecs a sender may name. Python has others that unpack, unescape or take time with the square of the length."""

_OVER_ASCII = frozenset(name for name in _READ if not name.startswith(("utf-7", "utf-16", "utf-32", "hz", "iso2022")))
"""Codecs in which ASCII stands for itself."""

_KANA = re.compile("[\u3041-\u3096\u30a1-\u30fa]")
"""Syllables no text in another language is full of, and a guesser of code pages takes for Korean or Chinese."""

_GUESSED = ["utf_8", "cp1252", "cp1250", "cp1251", "koi8_r", "cp932", "euc_jp", "gb18030", "big5", "cp949", "cp1253",
            "cp1254", "cp1255", "cp1256"]  # fmt: skip


@dataclass(frozen=True)
class Decoded:
    """A text and the character set it was read with. guessed: not the one that was named."""

    text: str
    charset: str
    guessed: bool = False


def codec_of(charset: str | None) -> str | None:
    """The codec for a character set's name, in the wider sense it is meant; None when it is none that is read here."""
    if not charset or len(charset) > 60:
        return None
    name = charset.strip().strip("\"'").lower().split("*", 1)[0]
    try:
        found = codecs.lookup(_OTHER_NAMES.get(name, name)).name
    except (LookupError, ValueError, UnicodeError):
        return None
    found = _WIDER.get(found, found)
    return found if found in _READ else None


def decoded(data: bytes, charset: str | None) -> Decoded:
    """The text of the bytes: as it is said, else as UTF-8, else as it is most likely. Always gives a text; bytes that
    no way of reading takes become U+FFFD."""
    named = codec_of(charset)
    for codec in _candidates(data, named):
        text = _strictly(data.removeprefix(codecs.BOM_UTF8) if codec == "utf-8" else data, codec)
        if text is not None:
            return Decoded(text, codec, guessed=codec not in (named, "ascii"))
    likely = most_likely(data)
    return Decoded(data.decode(likely, errors="replace"), likely, guessed=True)


def _candidates(data: bytes, named: str | None) -> Iterator[str]:
    """Codecs to try, best first."""
    if data.startswith(codecs.BOM_UTF8):
        yield "utf-8"
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        yield "utf-16"
    if named is None and b"\x1b$" in data[:_SAMPLE]:
        yield "iso2022_jp"
    if data.isascii() and (named is None or named in _OVER_ASCII):
        yield "ascii"
    if named == _USUAL:
        yield "utf-8"  # bytes that are UTF-8 by chance are rarer than a wrong name
    if named is not None:
        yield named
    yield "utf-8"


def most_likely(data: bytes) -> str:
    """The codec of bytes that are not UTF-8 and of which nothing is known."""
    sample = data[:_SAMPLE]
    for codec in ("euc_jp", "cp932"):
        text = sample.decode(codec, errors="ignore")
        if len(_KANA.findall(text)) * 5 > len(text):
            return codec
    if sum(1 for byte in sample if byte > 0x7F) < _FEWEST_TO_GUESS:
        return _USUAL
    if sample.count(0) * 4 > len(sample):
        return "utf-16-le" if sample[1::2].count(0) >= sample[::2].count(0) else "utf-16-be"
    try:
        best = from_bytes(sample, steps=4, cp_isolation=_GUESSED, preemptive_behaviour=False).best()
    except (ValueError, LookupError, UnicodeError):
        best = None
    return (codec_of(best.encoding) if best is not None else None) or _USUAL


def _strictly(data: bytes, codec: str) -> str | None:
    try:
        return data.decode(codec)
    except (UnicodeError, ValueError):
        return None
