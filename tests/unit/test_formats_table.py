"""CSV and TSV as spreadsheets and databases write them."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.arrivals import Arrival
from domain.errors import InvalidInput
from domain.mapping import Format, SourceMapping
from engines.formats import preset
from engines.formats.rows import LARGEST_ROW
from tests.support.formats import arrivals, codes, normalized, outcomes, sample

MAPPING = SourceMapping.model_validate(
    {
        "external_id": '"Case ID"',
        "channel": "ticket",
        "metadata": {"plan": "Plan"},
        "messages": [{"each": "@", "author": "'c'", "role": "customer", "at": "Opened", "text": '"What happened"'}],
    }
)
HEADER = "Case ID,Opened,What happened,Plan"


def table(*rows: str, header: str = HEADER) -> bytes:
    return "\r\n".join([header, *rows, ""]).encode()


def text(arrival: Arrival) -> str:
    assert arrival.conversation.messages is not None
    return arrival.conversation.messages[0].text


def test_a_row_is_a_conversation() -> None:
    first, second = arrivals(
        Format.TABLE, table("1,2026-11-02,It broke.,gold", '2,2026/11/3,"Line, one\nline ""two""",'), MAPPING
    )
    assert (first.conversation.external_id, first.conversation.metadata) == ("1", {"plan": "gold"})
    assert text(second) == 'Line, one\nline "two"'
    assert second.conversation.metadata == {}


@pytest.mark.parametrize(
    "formula", ["=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(1)", '=HYPERLINK("http://x","y")', "\t=1"]
)
def test_formulas_are_texts_and_stay_texts(formula: str) -> None:
    out = io.StringIO()
    csv.writer(out).writerows([HEADER.split(","), ["1", "2026-11-02", formula, formula]])
    (arrival,) = arrivals(Format.TABLE, out.getvalue().encode(), MAPPING)
    assert text(arrival) == formula
    assert normalized(arrival).messages[0].text == formula.strip()
    assert arrival.conversation.metadata["plan"] == formula.strip()


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_dialects_and_encodings_are_found_out(delimiter: str, encoding: str) -> None:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter)
    writer.writerows(
        [HEADER.split(","), *[[str(n), "2026-11-02", f"Größe, {n}; Weiß ähnlich", "gold"] for n in range(9)]]
    )
    found = arrivals(Format.TABLE, out.getvalue().encode(encoding), MAPPING)
    assert [text(one) for one in found] == [f"Größe, {n}; Weiß ähnlich" for n in range(9)]


def test_what_the_sender_says_of_the_encoding_counts() -> None:
    body = table("1,2026-11-02,Привет,gold").decode().encode("koi8-r")
    (arrival,) = arrivals(Format.TABLE, body, MAPPING, media_type="text/csv; charset=koi8-r")
    assert text(arrival) == "Привет"


def test_a_spreadsheets_separator_line_is_no_header() -> None:
    (arrival,) = arrivals(Format.TABLE, b"sep=;\r\nCase ID;What happened;Opened\r\n1;x, y;2026-11-02\r\n", MAPPING)
    assert text(arrival) == "x, y"


def test_bad_rows_are_told_one_by_one_and_spoil_no_other() -> None:
    body = table(
        "1,2026-11-02,good,gold", "2,2026-11-02,Gr\xf6\xdfe", "3,2026-11-02,a,b,c", "4", "5,2026-11-02,Grüße,gold"
    )
    body = body.replace("Gr\xf6\xdfe".encode(), "Gr\xf6\xdfe,x".encode("cp1252"))
    found = outcomes(Format.TABLE, body, MAPPING)
    assert [outcome.error is None for outcome in found] == [True, False, False, False, True]
    reasons = [str(outcome.error) for outcome in found if outcome.error]
    assert "line 3 is not UTF-8" in reasons[0]
    assert "line 4 has 5 fields, the header has 4" in reasons[1]
    assert "line 5 has 1 fields" in reasons[2]
    assert b"Gr\xf6\xdfe" in found[1].item.body, "the row is kept as it came"


def test_a_quotation_mark_that_does_not_end_spoils_its_own_row_only() -> None:
    rows = [f"{number},2026-11-02,text {number},gold" for number in range(50)]
    rows[10] = '10,2026-11-02,"never ends,gold'
    found = outcomes(Format.TABLE, table(*rows), MAPPING)
    assert len(found) == 50
    assert [outcome.item.position for outcome in found if outcome.error] == [11]
    assert "quotation mark" in str(found[10].error)


def test_a_row_longer_than_any_conversation_is_refused_alone() -> None:
    found = outcomes(Format.TABLE, table("1,,a,", f"2,,{'x' * (LARGEST_ROW + 10)},", "3,,c,"), MAPPING)
    assert [outcome.error is None for outcome in found] == [True, False, True]
    assert len(found[1].item.body) < 10_000


def test_blank_rows_and_commas_at_the_end_are_nothing() -> None:
    found = arrivals(Format.TABLE, table("", "1,,a,,,,", " , ,,", "2,,b,"), MAPPING)
    assert [one.conversation.external_id for one in found] == ["1", "2"]


def test_a_missing_column_is_named_with_those_there_are() -> None:
    (outcome,) = outcomes(Format.TABLE, table("1,x", header="Case ID,Story"), MAPPING)
    assert outcome.error is not None
    assert {problem.field for problem in outcome.error.problems} == {"messages[].text", "columns"}
    assert "'What happened'" in str(outcome.error)
    assert "'Story'" in str(outcome.error)


def test_a_missing_column_that_is_not_needed_is_noted() -> None:
    (arrival,) = arrivals(Format.TABLE, table("1,x", header="Case ID,What happened"), MAPPING)
    (note,) = arrival.notes
    assert note.code == "column_missing"
    assert "'Opened', 'Plan'" in note.detail


def test_columns_without_a_name_or_with_the_same_one_are_told_apart() -> None:
    mapping = MAPPING.model_copy(update={"metadata": {"second": '"Plan (4)"', "third": '"column 5"'}})
    (arrival,) = arrivals(Format.TABLE, table("1,x,a,b,c", header="Case ID,What happened,Plan,Plan,"), mapping)
    assert arrival.conversation.metadata == {"second": "b", "third": "c"}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "empty"),
        (b"\xef\xbb\xbf\r\n", "empty"),
        (b"a\0b,c\n1,2", "NUL"),
        (b",,\n1,2,3", "no header"),
        (b'"a\n', "quotation"),
    ],
)
def test_what_is_no_table_is_refused(body: bytes, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        outcomes(Format.TABLE, body, MAPPING)


WRITTEN = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@given(st.lists(WRITTEN, min_size=1, max_size=8))
def test_what_a_program_wrote_is_read_back(texts: list[str]) -> None:
    out = io.StringIO(newline="")
    rows = [["Case ID", "What happened"], *[[f"k{number}", one] for number, one in enumerate(texts)]]
    csv.writer(out, quoting=csv.QUOTE_ALL).writerows(rows)
    found = arrivals(Format.TABLE, out.getvalue().encode(), MAPPING)
    assert [text(one) for one in found] == texts


def test_all_forty_real_complaints_are_read() -> None:
    found = arrivals(Format.TABLE, sample("tickets/cfpb_40.csv").read_bytes(), preset("cfpb").mapping)
    assert len({one.conversation.external_id for one in found}) == 40
    assert not any(codes(one) for one in found)
    assert all(len(text(one)) > 100 for one in found)
    assert all(len(normalized(one).messages) == 1 for one in found)
