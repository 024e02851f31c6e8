"""What is sent: each import's body, packed from files on this machine."""

import io
import json
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

from cli.ingest.recordings import Recording, channels_of
from cli.ingest.report import Part
from cli.ingest.sorting import EMAIL, Sorting, audio_named_by
from domain.import_formats import ARCHIVE, NDJSON, media_type_of
from domain.mapping import Format

_ENDINGS = {Format.EMAIL: ".eml"}
_IN_MEMORY = 8 * 1024 * 1024
Upload = Callable[[Path], str | None]
"""Uploads an audio file; answers its id, None when it was refused, which whoever refuses it says."""


@dataclass(frozen=True)
class Body:
    """One import to be: `write` fills a file with it, and `names` with what its rows are called, in their order, where
    the file itself does not tell; `parts` with the files each row was made of, where it was several, and
    `left_out` with those of calls that are not sent.

    """

    name: str
    media_type: str
    format: Format | None
    write: Callable[[BinaryIO], None]
    names: list[str] = field(default_factory=list)
    parts: list[Sequence[Part]] = field(default_factory=list)
    left_out: list[tuple[Part, str]] = field(default_factory=list)

    @contextmanager
    def opened(self) -> Iterator[tuple[BinaryIO, int]]:
        """The bytes, ready to be read, and how many they are."""
        with tempfile.SpooledTemporaryFile(_IN_MEMORY) as file:
            stream = cast(BinaryIO, file)
            self.write(stream)
            size = stream.tell()
            stream.seek(0)
            yield stream, size


@dataclass(frozen=True)
class FileBody(Body):
    """A file that is sent as it is."""

    path: Path = Path()

    @contextmanager
    def opened(self) -> Iterator[tuple[BinaryIO, int]]:
        with self.path.open("rb") as stream:
            yield stream, self.path.stat().st_size


def bodies_of(found: Sorting, form: Format | None, upload: Upload) -> list[Body]:
    """The imports that the sorted files make, but for single conversations."""
    bodies: list[Body] = [_file(path, media_type, form) for path, media_type in found.many]
    if len(found.payloads) == 1:
        bodies.append(_file(found.payloads[0], media_type_of(found.payloads[0].name), form or Format.JSON))
    elif found.payloads:
        bodies.append(archive("payloads", found.payloads, form or Format.JSON))
    if len(found.emails) == 1:
        bodies.append(_file(found.emails[0], EMAIL, Format.EMAIL))
    elif found.emails:
        bodies.append(archive("emails", found.emails, Format.EMAIL))
    if found.recordings:
        bodies.append(_recordings(found.recordings, upload))
    return bodies


def _file(path: Path, media_type: str, form: Format | None) -> Body:
    return FileBody(path.name, media_type, form, lambda _: None, path=path)


def archive(name: str, files: Sequence[Path], form: Format) -> Body:
    """Files as a tar archive: each is read for itself, and named in the report."""

    def write(into: BinaryIO) -> None:
        with tarfile.open(fileobj=into, mode="w") as packed:
            for path in files:
                # An email without an ending is one all the same.
                member = tarfile.TarInfo(path.name if path.suffix else f"{path.name}{_ENDINGS.get(form, '')}")
                data = path.read_bytes()
                member.size = len(data)
                packed.addfile(member, io.BytesIO(data))

    return Body(name, ARCHIVE, form, write)


def conversations(name: str, found: Iterable[tuple[Path, dict[str, Any]]]) -> Body:
    """Conversations in canonical form, one a line."""
    names: list[str] = []
    parts: list[Sequence[Part]] = []

    def write(into: BinaryIO) -> None:
        for path, body in found:
            into.write(json.dumps(body, ensure_ascii=False).encode() + b"\n")
            names.append(path.name)
            parts.append(parts_of(path, body))

    return Body(name, NDJSON, Format.CANONICAL, write, names, parts)


def parts_of(single: Path, body: Mapping[str, Any]) -> list[Part]:
    """The audio files beside a conversation that it names."""
    return [Part(file.name, "audio") for file in audio_named_by(single)] if body.get("audio") else []


def _recordings(found: Sequence[Recording], upload: Upload) -> Body:
    """A row a call: the uploads of its audio by name, and what its side-cars say. A call with a file that is refused
    is left out."""
    names: list[str] = []
    parts: list[Sequence[Part]] = []
    left_out: list[tuple[Part, str]] = []

    def write(into: BinaryIO) -> None:
        for recording in found:
            audio = [_audio(file, upload) for file in recording.audio]
            if not all(audio):
                sent = {file.name for file, one in zip(recording.audio, audio, strict=True) if one}
                beside = {file.name for file in recording.side_cars}
                left_out.extend((part, recording.key) for part in recording.parts() if part.file in sent | beside)
            else:
                row = {"audio": audio, "side_car": recording.side_car}
                into.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
                names.append(recording.key)
                parts.append(recording.parts())

    return Body("recordings", NDJSON, Format.RECORDING, write, names, parts, left_out)


def _audio(file: Path, upload: Upload) -> dict[str, Any] | None:
    uploaded, channels = upload(file), channels_of(file)
    if uploaded is None:
        return None
    return {"id": uploaded, "name": file.name, **({"channels": channels} if channels else {})}
