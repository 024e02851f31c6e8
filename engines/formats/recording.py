"""Calls as recorders drop them: audio files, and a side-car that tells about them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, BinaryIO

from domain.arrivals import Arrival, RawItem
from domain.conversation import Channel, Note
from domain.errors import InvalidInput
from domain.ids import is_id
from domain.intake import MAX_AUDIO_FILES, ConversationIn
from domain.mapping import AudioMapping, SourceMapping
from domain.strict_json import validate
from engines.formats.canonical import cut_json
from engines.formats.notes import Notes
from engines.formats.shaping import arrivals_of
from engines.formats.shaping_audio import CameAlong, guessed_speakers
from engines.formats.values import payload_of

_MOST_FILES = 1000


class RecordingReader:
    """Fulfils `engines.protocols.FormatReader`.

    An item is `{"audio": [{"id": upload, "name": "c1.agent.wav", "channels": 1}, …], "side_car": {…}}`; channels and
    side_car may be missing. With a mapping its expressions look at the side-car; `root()` is the whole item, each file
    with `stem` and `suffix`. Without one the file names decide: `c1.agent.wav` and `c1.caller.wav` are the two sides of
    the call c1.
    """

    def items(self, body: BinaryIO, *, media_type: str, received_at: datetime, name: str | None) -> Iterator[RawItem]:
        return cut_json(body, media_type=media_type, received_at=received_at, name=name)

    def read(self, item: RawItem, mapping: SourceMapping | None) -> Sequence[Arrival]:
        payload = payload_of(item.body)
        files = _files(payload)
        side_car = payload.get("side_car")
        if side_car is not None and not isinstance(side_car, dict):
            raise InvalidInput.of("side_car", "is not an object")
        if mapping is None:
            return (_by_names(files, side_car),)
        mapping, guessed = _completed(mapping, files)
        root = {**payload, "audio": [file.seen() for file in files]}
        arrivals = arrivals_of(mapping, side_car or {}, size=len(item.body), files=files, root=root)
        return [arrival.model_copy(update={"notes": (*arrival.notes, *guessed)}) for arrival in arrivals]


def _files(payload: Any) -> list[CameAlong]:
    if not isinstance(payload, dict):
        raise InvalidInput.of("body", "is not an object with audio and side_car")
    listed = payload.get("audio") or []
    if not isinstance(listed, list) or len(listed) > _MOST_FILES:
        raise InvalidInput.of("audio", f"is not a list of at most {_MOST_FILES:,} files")
    files = []
    for number, one in enumerate(listed):
        if not isinstance(one, dict) or not isinstance(one.get("id"), str) or not is_id(one["id"]):
            raise InvalidInput.of(f"audio[{number}].id", "is not the id of an upload")
        if not isinstance(one.get("name"), str) or not one["name"].strip():
            raise InvalidInput.of(f"audio[{number}].name", "is missing: the name of the file")
        channels = one.get("channels")
        files.append(CameAlong(one["id"], one["name"], channels if type(channels) is int and channels > 0 else None))
    return files


def _completed(mapping: SourceMapping, files: Sequence[CameAlong]) -> tuple[SourceMapping, tuple[Note, ...]]:
    """The mapping with what file names and the format say by themselves."""
    known: dict[str, Any] = {}
    notes: list[Note] = []
    if mapping.channel is None:
        known["channel"] = Channel.CALL
    if mapping.audio is None and not mapping.messages and not mapping.segments:
        known["audio"] = AudioMapping()
    if mapping.external_id is None and files:
        known["external_id"] = "root().audio[0].stem"
        notes.append(_named_by_file())
    return mapping.model_copy(update=known), tuple(notes)


def _by_names(files: Sequence[CameAlong], side_car: dict[str, Any] | None) -> Arrival:
    if not files:
        raise InvalidInput.of("audio", "there is no audio file")
    if len(files) > MAX_AUDIO_FILES:
        raise InvalidInput.of("audio", f"a call has at most {MAX_AUDIO_FILES} files")
    notes = Notes()
    audio = [{"id": file.id, **guessed_speakers(file, notes)} for file in files]
    if side_car:
        notes.add("side_car_not_read", "The source has no mapping, so nothing of the side-car is read.")
    shape = {"external_id": _call(files), "channel": Channel.CALL, "audio": audio}
    conversation = validate(ConversationIn, shape)
    return Arrival(conversation=conversation, notes=(_named_by_file(), *notes.all()))


def _call(files: Sequence[CameAlong]) -> str:
    """What the call is called: what most of its files' names begin with."""
    return Counter(file.stem for file in files).most_common(1)[0][0][:400]


def _named_by_file() -> Note:
    return Note(code="named_by_file", detail="Nothing else tells the call's id; its files' name is taken for it.")
