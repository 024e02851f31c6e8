"""`parley ingest` finds out what lies there, and packs it."""

import io
import json
import tarfile
import wave
from pathlib import Path
from typing import Any

import pytest

from api.schemas.imports import ImportRowOut
from cli.ingest.bodies import Body, archive, bodies_of, conversations
from cli.ingest.recordings import channels_of
from cli.ingest.report import Line, Part, Report, lines_of
from cli.ingest.sorting import files_of, sort_out, unread
from domain.imports import RowOutcome
from domain.mapping import Format
from tests.support.rows import chat_row


def laid(folder: Path, **files: Any) -> Path:
    """Files by name; what is no text or bytes is written as JSON. Two underscores stand for a dot."""
    for name, content in files.items():
        path = folder / name.replace("__", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


def names(paths: list[Path]) -> list[str]:
    return [path.name for path in paths]


def wav(channels: int) -> bytes:
    body = io.BytesIO()
    with wave.open(body, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(b"\0" * 320 * channels)
    return body.getvalue()


def calls_in(folder: Path) -> dict[str, tuple[list[str], dict[str, Any]]]:
    found = sort_out(files_of([folder]))
    return {r.key: (names(r.audio), r.side_car) for r in found.recordings}


def test_every_file_is_sorted(tmp_path: Path) -> None:
    laid(
        tmp_path,
        one__json=chat_row("1"),
        broken__json='{"a": ',
        payload__json={"ticket": {"id": 1}},
        rows__json=[chat_row("2")],
        lines__json='{"a": 1}\n{"b": 2}\n',
        text__json='"hello"',
        export__ndjson="{}",
        tickets__csv="a,b\n1,2\n",
        mail__eml="From: a@b\n\nhello",
        box__mbox="From a\n",
        mail="Message-ID: <1>\n\nhello",
        notes__txt="hello",
        README="just words",
    )
    (tmp_path / ".hidden").mkdir()
    laid(tmp_path / ".hidden", a__json=chat_row("3"))
    laid(tmp_path, **{".also": "x"})
    found = sort_out(files_of([tmp_path]))
    assert names(found.singles) == ["one.json"]
    assert sorted((path.name, media) for path, media in found.many) == [
        ("box.mbox", "application/mbox"),
        ("export.ndjson", "application/x-ndjson"),
        ("lines.json", "application/json"),
        ("rows.json", "application/json"),
        ("tickets.csv", "text/csv"),
    ]
    assert names(found.payloads) == ["payload.json"]
    assert sorted(names(found.emails)) == ["mail", "mail.eml"]
    assert sorted(names(found.unknown)) == ["README", "notes.txt"]
    assert "does not begin as an email" in unread(tmp_path / "README")
    assert unread(tmp_path / "notes.txt") == "is of no kind that is read"
    assert sorted(path.name for path, _ in found.problems) == ["broken.json", "text.json"]


def test_a_file_is_taken_once_however_often_it_is_named(tmp_path: Path) -> None:
    laid(tmp_path, a__json=chat_row("1"))
    assert names(files_of([tmp_path, tmp_path / "a.json", tmp_path / "a.json"])) == ["a.json"]


def test_a_conversation_keeps_the_audio_it_names(tmp_path: Path) -> None:
    call = {"external_id": "1", "channel": "call", "audio": [{"file": "a.wav", "channels": ["agent", "customer"]}]}
    laid(tmp_path, a__json=call, a__wav=wav(2), b__wav=wav(1))
    found = sort_out(files_of([tmp_path]))
    assert names(found.singles) == ["a.json"]
    assert [names(r.audio) for r in found.recordings] == [["b.wav"]]


@pytest.mark.parametrize(
    ("side_car", "content", "read"),
    [
        ("c1.json", {"id": "7", "agent": {"name": "Tom"}}, {"id": "7", "agent": {"name": "Tom"}}),
        ("c1.metadata.json", {"id": "7"}, {"id": "7"}),
        ("c1.wav.json", {"id": "7"}, {"id": "7"}),
        ("c1.csv", "id,queue\n7,billing\n", {"id": "7", "queue": "billing"}),
        ("c1.tsv", "id\tqueue\n7\tbilling\n", {"id": "7", "queue": "billing"}),
        ("c1.transcript.json", {"segments": [1]}, {"transcript": {"segments": [1]}}),
        ("c1.transcript.json", [1], {"transcript": [1]}),
        (
            "c1.xml",
            '<?xml version="1.0"?><call xmlns="urn:x" id="7"><leg n="1"/><leg n="2"/><queue>billing</queue></call>',
            {"id": "7", "leg": [{"n": "1"}, {"n": "2"}], "queue": "billing"},
        ),
    ],
)
def test_a_side_car_of_each_kind(tmp_path: Path, side_car: str, content: Any, read: dict[str, Any]) -> None:
    laid(tmp_path, c1__wav=wav(2))
    laid(tmp_path, **{side_car: content})
    assert calls_in(tmp_path) == {"c1": (["c1.wav"], read)}
    found = sort_out(files_of([tmp_path]))
    assert (found.singles, found.many, found.payloads, found.problems) == ([], [], [], [])


def test_two_files_of_one_call_and_what_is_told_of_it(tmp_path: Path) -> None:
    laid(
        tmp_path,
        x__agent__wav=wav(1), x__caller__wav=wav(1), x__metadata__json={"sid": "x"}, x__transcript__json=[{"index": 1}],
        y_agent__mp3=b"x", y_customer__mp3=b"x",
    )  # fmt: skip
    [x, _] = sort_out(files_of([tmp_path])).recordings
    assert [(part.file, part.what) for part in x.parts()] == [
        ("x.agent.wav", "audio"), ("x.caller.wav", "audio"),
        ("x.metadata.json", "side-car"), ("x.transcript.json", "transcript"),
    ]  # fmt: skip
    assert calls_in(tmp_path) == {
        "x": (["x.agent.wav", "x.caller.wav"], {"sid": "x", "transcript": [{"index": 1}]}),
        "y": (["y_agent.mp3", "y_customer.mp3"], {}),
    }


def test_legs_are_one_call_unless_each_has_a_side_car(tmp_path: Path) -> None:
    laid(
        tmp_path,
        a__leg1__wav=wav(1), a__leg2__agent__wav=wav(1), a__leg2__caller__wav=wav(1), a__json={"id": "a"},
        b__leg1__wav=wav(1), b__leg1__json={"id": "b1"}, b__leg2__wav=wav(1), b__leg2__json={"id": "b2"},
    )  # fmt: skip
    assert calls_in(tmp_path) == {
        "a": (["a.leg1.wav", "a.leg2.agent.wav", "a.leg2.caller.wav"], {"id": "a"}),
        "b.leg1": (["b.leg1.wav"], {"id": "b1"}),
        "b.leg2": (["b.leg2.wav"], {"id": "b2"}),
    }


def test_one_table_for_all_recordings(tmp_path: Path) -> None:
    laid(tmp_path, a__wav=wav(1), b__wav=wav(1), list__csv="file,queue\na.wav,billing\nb.wav,sales\ngone.wav,x\n")
    laid(tmp_path, other__csv="name,age\nx,1\n")
    found = sort_out(files_of([tmp_path]))
    assert {r.key: r.side_car for r in found.recordings} == {
        "a": {"file": "a.wav", "queue": "billing"},
        "b": {"file": "b.wav", "queue": "sales"},
    }
    assert [(path.name, error.message) for path, error in found.problems] == [
        ("list.csv", "row 3 names no audio file that is there")
    ]
    assert [path.name for path, _ in found.many] == ["other.csv"]


def test_folders_do_not_mix(tmp_path: Path) -> None:
    laid(tmp_path / "mon", c__wav=wav(1), c__json={"id": "mon"})
    laid(tmp_path / "tue", c__wav=wav(1), c__json={"id": "tue"})
    found = sort_out(files_of([tmp_path]))
    assert [r.side_car["id"] for r in found.recordings] == ["mon", "tue"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("c.json", "{"),
        ("c.json", "[1]"),
        ("c.xml", "<a>"),
        ("c.xml", '<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>'),
        ("c.csv", "id\n1\n2\n"),
    ],
)
def test_a_side_car_that_cannot_be_read_is_told(tmp_path: Path, name: str, content: str) -> None:
    laid(tmp_path, c__wav=wav(1))
    laid(tmp_path, **{name: content})
    found = sort_out(files_of([tmp_path]))
    [(path, error)] = found.problems
    assert path.name == name
    assert name in error.message
    assert [r.side_car for r in found.recordings] == [{}]


def test_a_side_car_is_bounded(tmp_path: Path) -> None:
    laid(tmp_path, c__wav=wav(1), c__json=b" " * (16 * 1024 * 1024 + 1))
    [(path, error)] = sort_out(files_of([tmp_path])).problems
    assert path.name == "c.json"
    assert "is at most 16 MB" in error.message


def test_channels_of_a_file(tmp_path: Path) -> None:
    laid(tmp_path, a__wav=wav(1), b__wav=wav(2), c__wav=b"RIFF????WAVEfmt", d__mp3=b"ID3")
    assert [channels_of(tmp_path / name) for name in ("a.wav", "b.wav", "c.wav", "d.mp3")] == [1, 2, None, None]


# -- what is sent --------------------------------------------------------------------------------------------


def sent(body: Body) -> bytes:
    with body.opened() as (stream, size):
        data = stream.read()
        assert len(data) == size
        return data


def test_bodies_of_what_lies_there(tmp_path: Path) -> None:
    laid(
        tmp_path,
        a__ndjson="{}\n", m1__eml="From: a\n\n1", m2="From: b\n\n2", p1__json={"t": 1}, p2__json={"t": 2},
        c__agent__wav=wav(1), c__caller__wav=wav(1), c__json={"id": "7"}, d__wav=b"PK",
    )  # fmt: skip
    found = sort_out(files_of([tmp_path]))
    bodies = {body.name: body for body in bodies_of(found, None, lambda f: None if f.name == "d.wav" else f.stem)}
    assert list(bodies) == ["a.ndjson", "payloads", "emails", "recordings"]
    assert sent(bodies["a.ndjson"]) == b"{}\n"
    assert (bodies["emails"].format, bodies["payloads"].format) == (Format.EMAIL, Format.JSON)
    with tarfile.open(fileobj=io.BytesIO(sent(bodies["emails"]))) as packed:
        assert sorted(packed.getnames()) == ["m1.eml", "m2.eml"]
        assert packed.extractfile("m2.eml").read() == b"From: b\n\n2"  # type: ignore[union-attr]
    assert json.loads(sent(bodies["recordings"])) == {
        "audio": [
            {"id": "c.agent", "name": "c.agent.wav", "channels": 1},
            {"id": "c.caller", "name": "c.caller.wav", "channels": 1},
        ],
        "side_car": {"id": "7"},
    }
    assert bodies["recordings"].names == ["c"]  # the other one was refused
    assert bodies["recordings"].left_out == []


def test_a_call_without_all_of_its_audio_is_left_out_whole(tmp_path: Path) -> None:
    laid(tmp_path, c__agent__wav=wav(1), c__caller__wav=b"PK", c__json={"id": "7"}, d__wav=wav(1))
    [body] = bodies_of(sort_out(files_of([tmp_path])), None, lambda f: None if "caller" in f.name else f.stem)
    assert [row["audio"][0]["id"] for row in map(json.loads, sent(body).splitlines())] == ["d"]
    assert (body.names, [[p.file for p in parts] for parts in body.parts]) == (["d"], [["d.wav"]])
    assert [(part.file, call) for part, call in body.left_out] == [("c.agent.wav", "c"), ("c.json", "c")]


def test_the_same_files_make_the_same_bytes(tmp_path: Path) -> None:
    laid(tmp_path, a__eml="From: a\n\n1", b__eml="From: b\n\n2")
    files = files_of([tmp_path])
    assert sent(archive("x", files, Format.EMAIL)) == sent(archive("x", files, Format.EMAIL))
    body = conversations("x", [(files[0], {"a": "ü"})])
    assert sent(body) == '{"a": "ü"}\n'.encode()
    assert (body.names, body.parts) == (["a.eml"], [[]])


def test_the_audio_that_conversations_name_is_told_with_them(tmp_path: Path) -> None:
    call = {"external_id": "1", "channel": "call", "audio": [{"file": "a.wav"}, {"file": "gone.wav"}]}
    laid(tmp_path, a__json=call, a__wav=wav(2), b__json=chat_row("2"))
    body = conversations("x", [(tmp_path / f"{name}.json", read) for name, read in (("a", call), ("b", chat_row("2")))])
    sent(body)
    assert body.parts == [[Part("a.wav", "audio")], []]


# -- what is told --------------------------------------------------------------------------------------------


def row(number: int, **more: Any) -> ImportRowOut:
    base: dict[str, Any] = {"number": number, "part": 1, "name": None, "outcome": RowOutcome.CREATED}
    made = {"conversation_id": "c", "revision": 1, "code": None, "problems": []}
    return ImportRowOut.model_validate(base | made | more)


def test_lines_name_the_file_a_row_came_from() -> None:
    problems = [{"field": "a", "reason": "x"}, {"field": "b", "reason": "y"}]
    assert list(lines_of(row(2), "all", ["one", "two"])) == [Line("two", 2, "created", "c")]
    called = list(lines_of(row(1), "all", ["c1"], [[Part("c1.wav", "audio"), Part("c1.json", "side-car")]]))
    assert called == [
        Line("c1", 1, "created", "c"),
        Line("c1.wav", 1, "part", "c", reason="audio of the call c1"),
        Line("c1.json", 1, "part", "c", reason="side-car of the call c1"),
    ]
    assert [line.file for line in lines_of(row(3), "all", ["one", "two"])] == ["all"]
    assert [line.file for line in lines_of(row(1, name="in/one.eml"), "all", [])] == ["in/one.eml"]
    failed = list(lines_of(row(1, outcome="failed", problems=problems), "all", []))
    assert [(line.outcome, line.field, line.reason) for line in failed] == [("failed", "a", "x"), ("failed", "b", "y")]


def test_a_report_is_safe_to_open_and_bounded_to_show(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("r.csv", "r.ndjson"):
        with Report(tmp_path / name) as report:
            report.add(Line("=cmd|x", 1, "created", "c"))
            for number in range(30):
                report.add(Line("f", number + 2, "failed", None, "a", "x"))
            report.failed("whole", "gone")
            assert (report.bad, report.handed, report.wants_all) == (31, True, True)
            report.show_bad()
    assert "… and 11 more" in capsys.readouterr().err
    table = (tmp_path / "r.csv").read_text().splitlines()
    assert table[:2] == ["file,row,outcome,conversation,field,reason", "'=cmd|x,1,created,c,,"]
    assert len(table) == 33
    lines = [json.loads(line) for line in (tmp_path / "r.ndjson").read_text().splitlines()]
    assert (len(lines), lines[0]["file"], lines[-1]["reason"]) == (32, "=cmd|x", "gone")
