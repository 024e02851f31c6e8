"""Calls as recorders drop them: audio files and what stands beside them."""

import json
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.ingest.recordings import SIDE_CARS
from domain.conversation import Channel, Role
from domain.errors import InvalidInput
from domain.ids import derived_id
from domain.mapping import Format, SourceMapping
from engines.audio.decode import Decoder
from engines.formats import preset
from engines.formats.shaping_audio import name_parts
from engines.formats.side_cars import side_cars
from engines.protocols import AudioFile
from tests.support.audio_files import encode, voice
from tests.support.formats import arrivals, codes, sample


def recording(*names: str, side_car: object = None, channels: int | None = None) -> bytes:
    audio = [{"id": derived_id(name), "name": name, **({"channels": channels} if channels else {})} for name in names]
    return json.dumps({"audio": audio, **({} if side_car is None else {"side_car": side_car})}).encode()


def mapped(**changes: Any) -> SourceMapping:
    return SourceMapping.model_validate({"external_id": "call_id", "channel": "call", **changes})


@pytest.mark.parametrize(
    ("name", "stem", "suffix"),
    [
        ("c1.agent.wav", "c1", "agent"),
        ("c1.Caller.WAV", "c1", "caller"),
        ("2026-11-02_c1-customer.mp3", "2026-11-02_c1", "customer"),
        ("day/c1.wav", "c1", None),
        ("c:\\rec\\c1.client.wav", "c1", "client"),
        ("agent.wav", "agent", None),
        ("c1.2.wav", "c1.2", None),
        (".wav", ".wav", None),
        ("c1", "c1", None),
    ],
)
def test_file_names_tell_the_call_and_the_side(name: str, stem: str, suffix: str | None) -> None:
    assert name_parts(name) == (stem, suffix)


def test_without_a_mapping_names_decide_and_it_is_said() -> None:
    (arrival,) = arrivals(Format.RECORDING, recording("c1.agent.wav", "c1.caller.wav", side_car={"x": 1}))
    conversation = arrival.conversation
    assert (conversation.external_id, conversation.channel) == ("c1", Channel.CALL)
    assert [(a.id, a.role) for a in conversation.audio or ()] == [
        (derived_id("c1.agent.wav"), Role.AGENT),
        (derived_id("c1.caller.wav"), Role.CUSTOMER),
    ]
    assert codes(arrival) == {"named_by_file", "speaker_by_file_name", "side_car_not_read"}


@pytest.mark.parametrize(("channels", "named"), [(None, ("mixed",)), (1, ("mixed",)), (2, ("mixed", "mixed"))])
def test_who_speaks_is_never_guessed_from_nothing(channels: int | None, named: tuple[str, ...]) -> None:
    (arrival,) = arrivals(Format.RECORDING, recording("c1.wav", channels=channels))
    assert [a.channels for a in arrival.conversation.audio or ()] == [named]
    assert "speakers_not_said" in codes(arrival)


@pytest.mark.parametrize(
    "channels", [["customer", "agent"], {"value": "conversation().tracks", "table": {"Rx": "customer", "Tx": "agent"}}]
)
def test_stereo_with_a_known_channel_map(channels: object) -> None:
    body = recording("c1.wav", side_car={"call_id": 7, "tracks": ["Rx", "Tx"]})
    (arrival,) = arrivals(Format.RECORDING, body, mapped(audio={"channels": channels}))
    (file,) = arrival.conversation.audio or ()
    assert (arrival.conversation.external_id, file.channels) == ("7", ("customer", "agent"))


@pytest.mark.parametrize(
    ("audio", "offsets"),
    [
        ({"each": "files", "file": "name", "offset_ms": "ms", "role": {"value": "who"}}, [0, 4_200]),
        ({"each": "files", "file": "name", "started_at": "at", "role": {"value": "who"}}, [0, 2_500]),
        ({"each": "files", "file": "name", "started_at": "epoch", "role": {"value": "who"}}, [1_500, 0]),
    ],
)
def test_each_file_has_its_start(audio: dict[str, Any], offsets: list[int]) -> None:
    files = [
        {"name": "a.wav", "who": "agent", "ms": 0, "at": "2026-11-02T10:00:00Z", "epoch": 1_762_000_001.5},
        {"name": "b.wav", "who": "customer", "ms": "4200", "at": "2026-11-02T10:00:02.5Z", "epoch": 1_762_000_000},
    ]
    body = recording("drop/b.wav", "drop/a.wav", side_car={"call_id": "x", "files": files})
    (arrival,) = arrivals(Format.RECORDING, body, mapped(audio=audio))
    assert [a.offset_ms for a in arrival.conversation.audio or ()] == offsets
    assert [a.role for a in arrival.conversation.audio or ()] == [Role.AGENT, Role.CUSTOMER]
    assert [a.id for a in arrival.conversation.audio or ()] == [derived_id("drop/a.wav"), derived_id("drop/b.wav")]


def test_legs_of_one_interaction() -> None:
    legs = [{"call_id": f"leg-{n}", "recording": f"{n}.wav", "team": f"team {n}"} for n in (1, 2)]
    mapping = mapped(
        conversations="legs",
        interaction_id="root().side_car.interaction",
        team="team",
        audio={"each": "@", "file": "recording", "channels": ["agent", "customer"]},
    )
    body = recording("1.wav", "2.wav", side_car={"interaction": "i-9", "legs": legs})
    first, second = arrivals(Format.RECORDING, body, mapping)
    assert [one.conversation.external_id for one in (first, second)] == ["leg-1", "leg-2"]
    assert {one.conversation.interaction_id for one in (first, second)} == {"i-9"}
    assert [one.audio[0].id for one in (first.conversation, second.conversation) if one.audio] == [
        derived_id("1.wav"),
        derived_id("2.wav"),
    ]


def test_a_file_that_did_not_come_along_is_named_in_the_mapping() -> None:
    mapping = mapped(audio={"each": "files", "file": "@"})
    with pytest.raises(InvalidInput) as refused:
        arrivals(Format.RECORDING, recording("a.wav", side_car={"call_id": 1, "files": ["a.wav", "b.wav"]}), mapping)
    assert refused.value.problems[0].field == "audio[].file"
    assert "item 2 of `files`" in refused.value.problems[0].reason


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"audio": []}', "audio"),
        (b'{"audio": [{"name": "a.wav"}]}', "audio[0].id"),
        (b'{"audio": [{"id": "nope", "name": "a.wav"}]}', "audio[0].id"),
        (recording("a.wav").replace(b'"a.wav"', b"7"), "audio[0].name"),
        (recording("a.wav", side_car=[1]), "side_car"),
        (b'"text"', "body"),
        (recording(*[f"{n}.wav" for n in range(9)]), "audio"),
    ],
)
def test_what_is_no_recording_is_refused(body: bytes, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        arrivals(Format.RECORDING, body)
    assert refused.value.problems[0].field == field


# -- side-cars -------------------------------------------------------------------------------------------------

XML = """<?xml version="1.0"?>
<r:call xmlns:r="urn:rec" id="c-1"><start>2026-11-02T10:00:00Z</start>
<agent ext="12"><name>Tom</name></agent><tag>a</tag><tag>b</tag><tag>c</tag>
<note lang="en">hi</note><empty/></r:call>"""


@pytest.mark.parametrize(
    ("name", "data", "found"),
    [
        ("c.json", b'{"id": "c-1"}', [{"id": "c-1"}]),
        ("c.json", b'[{"id": 1}, {"id": 2}]', [{"id": 1}, {"id": 2}]),
        ("calls.csv", b"id;agent\nc-1;Tom\nc-2;Ann\n", [{"id": "c-1", "agent": "Tom"}, {"id": "c-2", "agent": "Ann"}]),
        ("calls.tsv", b"id\tagent\nc-1\tTom, A.\n", [{"id": "c-1", "agent": "Tom, A."}]),
        (
            "c.xml",
            XML.encode(),
            [
                {
                    "id": "c-1",
                    "start": "2026-11-02T10:00:00Z",
                    "agent": {"ext": "12", "name": "Tom"},
                    "tag": ["a", "b", "c"],
                    "note": {"lang": "en", "text": "hi"},
                    "empty": "",
                }
            ],
        ),
    ],
)
def test_side_cars_of_every_kind(name: str, data: bytes, found: list[dict[str, Any]]) -> None:
    assert list(side_cars(BytesIO(data), name)) == found


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("c.xml", f'<!DOCTYPE x [<!ENTITY l0 "ha">{LAUGHS}]><x>&l9;</x>'.encode()),
        ("c.xml", b'<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><x>&f;</x>'),
        ("c.xml", b"<x><y></x>"),
        ("c.xml", b"<x>" * 20_000),
        ("c.xml", b"<x>" * 200 + b"</x>" * 200),
        ("c.json", b"{"),
        ("c.json", b"[1]"),
        ("c.txt", b"\x00\x01"),
        ("c.dat", b"call id: 7"),
        ("c.csv", b"id,agent\n1\n"),
        ("c.json", b""),
    ],
)
def test_a_side_car_that_cannot_be_read_is_refused(name: str, data: bytes) -> None:
    with pytest.raises(InvalidInput):
        list(side_cars(BytesIO(data), name))


@given(
    st.binary(max_size=300),
    st.sampled_from(["<a>", "<a b='1'>", "</a>", "{", "}", "a,b\n", '"']),
    st.sampled_from(sorted(SIDE_CARS)),
)
def test_any_side_car_is_read_or_refused(data: bytes, start: str, ending: str) -> None:
    try:
        found = list(side_cars(BytesIO(start.encode() + data), f"c{ending}"))
    except InvalidInput:
        return
    assert all(isinstance(one, dict) for one in found)


# -- the real ones ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["00d676d7058c49bb", "3a20358e1bfc4a17", "a7ccc3379af44b9f", "ff0296d00e5e4184"])
def test_the_real_calls_are_read_with_their_side_cars(call: str) -> None:
    path = sample(f"voice/{call}.metadata.json")
    with path.open("rb") as opened:
        (side_car,) = side_cars(opened, path.name)
    body = recording(f"{call}.agent.wav", f"{call}.caller.wav", side_car=side_car)
    (arrival,) = arrivals(Format.RECORDING, body, preset("harpervalley").mapping)
    conversation = arrival.conversation
    assert (conversation.external_id, not codes(arrival)) == (call, True)
    assert conversation.started_at is not None
    assert conversation.started_at.startswith("2020-")
    assert {p.role for p in conversation.participants} == {Role.AGENT, Role.CUSTOMER}
    assert all(p.name for p in conversation.participants)
    assert [a.role for a in conversation.audio or ()] == [Role.AGENT, Role.CUSTOMER]


def test_what_a_recorder_dropped_decodes_as_it_was_read() -> None:
    """Two mono files, one 8-bit, one mu-law, the second starting later: one call in its own time."""
    sounds = {
        "c1.agent.wav": encode(voice(2), 8_000, "wav", "pcm_u8"),
        "c1.caller.wav": encode(voice(2, seed=5), 8_000, "wav", "pcm_mulaw"),
    }
    role = {"value": "suffix", "table": {"caller": "customer"}}
    mapping = mapped(audio={"started_at": "lookup(conversation().files, 'name', name).at", "role": role})
    side_car = {"call_id": 1, "files": [{"name": n, "at": 1_762_000_000 + 3 * k} for k, n in enumerate(sounds)]}
    (arrival,) = arrivals(Format.RECORDING, recording(*sounds, side_car=side_car), mapping)
    by_id = {derived_id(name): data for name, data in sounds.items()}
    files = [AudioFile(by_id[a.id or ""], (a.role,), a.offset_ms) for a in arrival.conversation.audio or ()]
    call = Decoder().decode(files, max_duration_ms=60_000, progress=lambda share: None)
    assert call.facts.duration_ms == 5_000
    assert [track.role for track in call.tracks] == [Role.AGENT, Role.CUSTOMER]
    assert call.tracks[1].speech[0].start_ms >= 3_000
