"""Emails that are broken, hostile, or not emails; and mailboxes of them."""

import base64
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidInput
from domain.intake import MAX_ATTACHMENTS
from domain.mapping import Format
from tests.support.emails import OURS, message, read
from tests.support.formats import codes, normalized, outcomes

HEAD = (
    b"From: Ann One <ann@example.com>\r\nTo: support@acme.example\r\nSubject: Kettle\r\n"
    b"Date: Mon, 2 Nov 2026 10:00:00 +0100\r\nMessage-ID: <1@example.com>\r\n"
)

_PNG = base64.b64encode(bytes(300_000))
MALFORMED: dict[str, tuple[bytes, str]] = {
    "wrong charset": (message("Größe".encode("cp1252"), Content_Type="text/plain; charset=utf-8"), "Größe"),
    "broken MIME: the boundary never comes": (
        message(b"It broke.", Content_Type="multipart/mixed; boundary=nowhere"), "It broke."),
    "broken MIME: no boundary named": (
        message(b"\r\n--b\r\n\r\nIt broke.\r\n--b--\r\n", Content_Type="multipart/mixed"), "It broke."),
    "broken MIME: never closed": (
        message(b"--b\r\n\r\nIt broke.", Content_Type="multipart/mixed; boundary=b"), "It broke."),
    "broken base64": (message(b"SXQgYnJva2UuA", Content_Transfer_Encoding="base64"), "It broke."),
    "broken quoted-printable": (
        message(b"It broke=2E =ZZ=", Content_Transfer_Encoding="quoted-printable"), "It broke. =ZZ"),
    "an encoding nobody knows": (message(b"It broke.", Content_Transfer_Encoding="x-rot"), "It broke."),
    "10,000 recipients": (message(To=", ".join(f"P {n} <p{n}@example.com>" for n in range(10_000))), "It broke."),
    "a reply to itself": (message(In_Reply_To="<1@example.com>", References="<1@example.com>"), "It broke."),
    "bomb attachment": (
        message(b"--b\r\n\r\nIt broke.\r\n--b\r\nContent-Type: application/zip; name=x.zip\r\n"
                b"Content-Transfer-Encoding: base64\r\n\r\n" + _PNG * 20 + b"\r\n--b--\r\n",
                Content_Type="multipart/mixed; boundary=b"), "It broke."),
    "no sender": (message(From=""), "It broke."),
    "a sender that is none": (message(From="undisclosed"), "It broke."),
    "no date": (message(Date=""), "It broke."),
    "no subject": (message(Subject=""), "It broke."),
    "8-bit junk in headers": (message(b"It broke.").replace(b"Kettle", b"K\xe4\xff\xfe\x80"), "It broke."),
    "header injection": (message(Subject="=?utf-8?q?Hi=0D=0ABcc:_all=40example.com?="), "It broke."),
    "a line of a megabyte in the head": (message(X_Long="x" * 1_000_000), "It broke."),
    "half a header": (b"garbage without a colon\r\n" + message(), "It broke."),
    "bare line feeds": (message().replace(b"\r\n", b"\n"), "It broke."),
    "old Mac line ends": (message().replace(b"\r\n", b"\r"), "It broke."),
    "no blank line before the text": (HEAD + b"It broke.\r\n", "It broke."),
    "only a head": (HEAD, ""),
    "NUL in the text": (message(b"It \0broke."), "It broke."),
    "a boundary inside the text": (
        message(b"--b\r\n\r\nIt broke.\r\n--bb\r\nmore\r\n--b--\r\n", Content_Type="multipart/mixed; boundary=b"),
        "It broke.\n--bb\nmore"),
    "parts within parts without end": (
        message(b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(500)),
                Content_Type="multipart/mixed; boundary=b"), None),  # type: ignore[dict-item]
    "a thousand parts": (
        message(b"--b\r\n\r\nIt broke.\r\n" + b"--b\r\nContent-Type: image/png\r\n\r\nx\r\n" * 3_000,
                Content_Type="multipart/mixed; boundary=b"), "It broke."),
    "encrypted": (
        message(b"--b\r\nContent-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n--b--",
                Content_Type="multipart/encrypted; boundary=b"), ""),
    "HTML that is none": (message(b"<<<a <b>It broke.</", Content_Type="text/html"), None),  # type: ignore[dict-item]
    "two types": (HEAD + b"Content-Type: text/plain\r\nContent-Type: text/html\r\n\r\nIt broke.", "It broke."),
    "a type that is none": (message(b"It broke.", Content_Type="plain"), "It broke."),
}  # fmt: skip


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_emails_are_read_as_far_as_they_go(case: str) -> None:
    body, expected = MALFORMED[case]
    arrival = read(body)
    assert arrival.conversation.messages is not None
    (one,) = arrival.conversation.messages
    if expected is not None:
        assert one.text.strip() == expected
    assert "\n" not in (one.subject or "")
    assert len(arrival.conversation.participants) <= 21
    assert len(one.attachments) <= MAX_ATTACHMENTS
    assert arrival.links
    normalized(arrival)


def test_what_is_guessed_or_left_out_is_said() -> None:
    said = {case: codes(read(MALFORMED[case][0])) for case in MALFORMED}
    assert "charset_guessed" in said["wrong charset"]
    assert "email_damaged" in said["broken MIME: the boundary never comes"]
    assert "recipients_left_out" in said["10,000 recipients"]
    assert "sender_unknown" in said["no sender"] & said["a sender that is none"]
    assert "email_parts_left_out" in said["parts within parts without end"]
    assert "attachments_left_out" in said["a thousand parts"]
    assert "email_encrypted" in said["encrypted"]
    assert said["bomb attachment"] == said["a reply to itself"] == set()


def test_a_bomb_is_listed_by_its_size_and_never_unpacked() -> None:
    arrival = read(MALFORMED["bomb attachment"][0])
    assert arrival.conversation.messages is not None
    (bomb,) = arrival.conversation.messages[0].attachments
    assert (bomb.name, bomb.media_type) == ("x.zip", "application/zip")
    assert bomb.size is not None
    assert bomb.size == pytest.approx(300_000 * 20, rel=0.01)


def test_a_forged_line_in_a_subject_stays_in_the_subject() -> None:
    conversation = read(MALFORMED["header injection"][0]).conversation
    assert conversation.messages is not None
    assert conversation.messages[0].subject == "Hi Bcc: all@example.com"
    assert all(person.address != "all@example.com" for person in conversation.participants)


@pytest.mark.parametrize(
    "body", [b"", b" \r\n\r\n", b"\xff\xfe\x00\x80" * 50, b"just a text\nwithout any header", b"a: b\n\nx"]
)
def test_what_is_no_email_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput, match="body"):
        read(body)


# -- mailboxes -------------------------------------------------------------------------------------------------


def mailbox(*messages: bytes) -> bytes:
    return b"".join(
        b"From ann@example.com Mon Nov  2 10:00:00 2026\n"
        + re.sub(rb"(?m)^(>*From )", rb">\1", one.replace(b"\r\n", b"\n"))
        + b"\n\n"
        for one in messages
    )


def test_a_mailbox_is_cut_into_its_messages() -> None:
    first = message(b"Hello\nFrom the start it was broken\n>From me")
    found = outcomes(Format.EMAIL, mailbox(first, b"nonsense", message(b"Again", Message_ID="<2@x>")), OURS)
    assert [outcome.item.position for outcome in found] == [1, 2, 3]
    assert found[1].error is not None, "one bad message does not spoil the others"
    assert [outcome.arrivals[0].links[-1] for outcome in found if outcome.arrivals] == ["1@example.com", "2@x"]
    sent = found[0].arrivals[0].conversation.messages
    assert sent is not None
    assert sent[0].text.strip() == "Hello\nFrom the start it was broken\n>From me"


@given(st.lists(st.binary(min_size=1, max_size=200), min_size=1, max_size=5))
def test_a_mailbox_gives_as_many_messages_as_went_in(bodies: list[bytes]) -> None:
    written = mailbox(*(message(body.replace(b"\r", b"")) for body in bodies))
    assert len(outcomes(Format.EMAIL, written, OURS)) == len(bodies)
