"""How content is sealed: frames of AES-256-GCM under a key of their own.

    blob   = header frame+
    header = "PRLC" | format 1 | flags | version of the tenant's key (u32) | salt (32 random bytes)
    frame  = u32: bit 31 set on the last frame, else the length of what follows | ciphertext and tag

Each blob's key is HKDF-SHA256 of the tenant's key with the blob's salt and its content key, so no nonce is ever used
twice and a blob does not open under another name. The nonce is prefix | frame number | last, the header is
authenticated with every frame: reordered, exchanged, missing and added frames do not open. This is the construction
of Tink's streaming AEAD (AES-GCM-HKDF) with frames of varying length, because each holds up to 1 MiB of plain bytes
compressed by itself, which bounds the memory of reading.
"""

import os
import struct
from collections.abc import Iterator

import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from domain.errors import ContentDamaged
from storage.crypto import KEY_BYTES, DataKey

FRAME_BYTES = 1024 * 1024
"""Plain bytes of a frame, but for the last."""

HEADER_BYTES = 42
LENGTH_BYTES = 4

_HEADER = struct.Struct(">4sBBI32s")
_MAGIC = b"PRLC"
_FORMAT = 1
_ZSTD = 0b1
_LAST = 1 << 31
_TAG_BYTES = 16
_PREFIX_BYTES = 7
_MAX_SEALED = FRAME_BYTES + 64 * 1024 + _TAG_BYTES  # zstd makes incompressible bytes a little longer
_SAMPLE_BYTES = 64 * 1024
_WORTHWHILE = 0.9
_LEVEL = 3


class Sealer:
    """Seals one blob, frame by frame. Not to be used twice."""

    def __init__(self, key: DataKey, content_key: str, *, compress: bool) -> None:
        salt = os.urandom(32)
        self.header = _HEADER.pack(_MAGIC, _FORMAT, _ZSTD if compress else 0, key.version, salt)
        self._frames = _Frames(key, content_key, self.header, salt)
        self._compressor = zstandard.ZstdCompressor(level=_LEVEL) if compress else None

    def seal(self, plain: bytes, *, last: bool) -> bytes:
        """The next frame; `plain` is FRAME_BYTES long unless it is the last."""
        body = plain if self._compressor is None else self._compressor.compress(plain)
        sealed = self._frames.cipher.encrypt(self._frames.next_nonce(last), body, self.header)
        return struct.pack(">I", len(sealed) | (_LAST if last else 0)) + sealed


class Opener:
    """Opens one blob, frame by frame. Raises ContentDamaged for anything that is not what was sealed."""

    def __init__(self, key: DataKey, content_key: str, header: bytes) -> None:
        _, _, flags, _, salt = _read_header(header)
        self._header = header
        self._frames = _Frames(key, content_key, header, salt)
        self._decompressor = zstandard.ZstdDecompressor() if flags & _ZSTD else None

    def open(self, sealed: bytes, *, last: bool) -> bytes:
        try:
            body = self._frames.cipher.decrypt(self._frames.next_nonce(last), sealed, self._header)
        except InvalidTag:
            raise ContentDamaged("the content does not decrypt") from None
        if self._decompressor is None:
            return body
        return self._decompressor.decompress(body, max_output_size=FRAME_BYTES)


class FrameReader:
    """Cuts a stream of sealed bytes, fed in pieces of any size, into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.complete = False

    def feed(self, piece: bytes) -> Iterator[tuple[bytes, bool]]:
        """(ciphertext, last) of every frame that is whole by now. Raises ContentDamaged for what cannot be one."""
        self._buffer += piece
        while True:
            if self.complete:
                if self._buffer:
                    raise ContentDamaged("the content goes on after its end")
                return
            if len(self._buffer) < LENGTH_BYTES:
                return
            (word,) = struct.unpack_from(">I", self._buffer)
            length, last = word & ~_LAST, bool(word & _LAST)
            if not _TAG_BYTES <= length <= _MAX_SEALED:
                raise ContentDamaged("a frame of the content has an impossible length")
            end = LENGTH_BYTES + length
            if len(self._buffer) < end:
                return
            sealed = bytes(self._buffer[LENGTH_BYTES:end])
            del self._buffer[:end]
            self.complete = last
            yield sealed, last

    def finish(self) -> None:
        """To be called at the end of the stream. Raises ContentDamaged when the last frame has not come."""
        if not self.complete:
            raise ContentDamaged("the content ends too early")


def key_version(header: bytes) -> int:
    """Which version of the tenant's key sealed the blob. Raises ContentDamaged when this is no header."""
    return _read_header(header)[3]


def is_worth_compressing(start: bytes) -> bool:
    """Whether content that starts like this shrinks by a tenth at least: JSON and text do, audio does not."""
    sample = start[:_SAMPLE_BYTES]
    return len(zstandard.ZstdCompressor(level=1).compress(sample)) < _WORTHWHILE * len(sample)


def seal_all(key: DataKey, content_key: str, plain: bytes) -> bytes:
    """The whole blob of content that is in memory."""
    sealer = Sealer(key, content_key, compress=is_worth_compressing(plain))
    starts = range(0, len(plain) or 1, FRAME_BYTES)
    frames = [sealer.seal(plain[at : at + FRAME_BYTES], last=at == starts[-1]) for at in starts]
    return b"".join((sealer.header, *frames))


def open_all(key: DataKey, content_key: str, blob: bytes) -> bytes:
    """The content of a blob that is in memory. Raises ContentDamaged."""
    opener = Opener(key, content_key, blob[:HEADER_BYTES])
    reader = FrameReader()
    plain = [opener.open(sealed, last=last) for sealed, last in reader.feed(blob[HEADER_BYTES:])]
    reader.finish()
    return b"".join(plain)


class _Frames:
    """The cipher of one blob and the nonces of its frames."""

    def __init__(self, key: DataKey, content_key: str, header: bytes, salt: bytes) -> None:
        derived = HKDF(
            algorithm=SHA256(),
            length=KEY_BYTES + _PREFIX_BYTES,
            salt=salt,
            info=b"parley content 1\0" + content_key.encode(),
        ).derive(key.secret)
        self.cipher = AESGCM(derived[:KEY_BYTES])
        self._prefix = derived[KEY_BYTES:]
        self._number = 0

    def next_nonce(self, last: bool) -> bytes:
        nonce = self._prefix + struct.pack(">IB", self._number, last)
        self._number += 1
        return nonce


def _read_header(header: bytes) -> tuple[bytes, int, int, int, bytes]:
    if len(header) != HEADER_BYTES:
        raise ContentDamaged("the content is shorter than its header")
    magic, version, flags, key, salt = _HEADER.unpack(header)
    if magic != _MAGIC or version != _FORMAT or flags & ~_ZSTD:
        raise ContentDamaged("the content does not start with a header of this format")
    return magic, version, flags, key, salt
