"""Emails as clients and broken programs write them."""

import base64
from email.message import EmailMessage
from pathlib import Path

import pytest

from domain.conversation import Channel, Direction, Role
from domain.intake import Automatic
from domain.mapping import SourceMapping
from domain.normalize import turns_of_thread
from tests.support.emails import OURS, message, read
from tests.support.formats import codes, normalized, sample


def text(body: bytes, mapping: SourceMapping | None = OURS) -> str:
    messages = read(body, mapping).conversation.messages
    assert messages is not None
    return messages[0].text


def test_an_email_is_one_message_of_a_thread() -> None:
    conversation = read(message()).conversation
    assert conversation.messages is not None
    (one,) = conversation.messages
    assert (conversation.channel, conversation.external_id) == (Channel.EMAIL, "1@example.com")
    assert conversation.direction is Direction.INBOUND
    assert (one.id, one.at, one.text, one.subject) == (
        "1@example.com",
        "2026-11-02T10:00:00+01:00",
        "It broke.",
        "Kettle",
    )
    author = next(person for person in conversation.participants if person.id == one.author)
    assert (author.role, author.name, author.address) == (Role.CUSTOMER, "Ann One", "ann@example.com")
    assert "@" not in one.author, "ids of participants are seen wherever turns are"


# -- threads ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "links"),
    [
        ({}, ("1@example.com",)),
        ({"In_Reply_To": "<p@x>"}, ("p@x", "1@example.com")),
        ({"References": "<root@x> <mid@x>", "In_Reply_To": "<mid@x>"}, ("root@x", "mid@x", "1@example.com")),
        ({"References": "<root@x>\r\n <mid@x>"}, ("root@x", "mid@x", "1@example.com")),
        ({"In_Reply_To": "Your message of Monday <p@x>"}, ("p@x", "1@example.com")),
        ({"In_Reply_To": "<1@example.com>"}, ("1@example.com",)),
        ({"References": "<1@example.com> <1@example.com>"}, ("1@example.com",)),
        ({"References": "nonsense"}, ("1@example.com",)),
        ({"Message_ID": "1@example.com"}, ("1@example.com",)),
    ],
)
def test_a_thread_is_told_by_its_root(headers: dict[str, str], links: tuple[str, ...]) -> None:
    arrival = read(message(**headers))
    assert arrival.links == links
    assert arrival.adds
    assert arrival.conversation.external_id == links[0]


def test_thousands_of_references_keep_the_root_and_the_latest() -> None:
    references = "\r\n ".join(f"<{number}@x>" for number in range(5_000))
    links = read(message(References=references)).links
    assert links[0] == "0@x"
    assert links[-2:] == ("4999@x", "1@example.com")
    assert len(links) <= 101


def test_without_message_id_the_same_message_has_the_same_id() -> None:
    first, again = read(message(Message_ID="")), read(message(Message_ID="", Received="from elsewhere"))
    other = read(message(b"It broke again.", Message_ID=""))
    assert first.links == again.links != other.links
    assert first.links[0].startswith("sha256:")
    assert "message_id_missing" in codes(first)


@pytest.mark.parametrize(
    "date", ["", "yesterday", "Mon, 99 Foo 2026 10:00:00", "Mon, 2 Nov 99999 10:00:00 +0000", "\x01"]
)
def test_without_a_date_that_can_be_read_the_time_of_receipt_is_used(date: str) -> None:
    arrival = read(message(Date=date))
    assert arrival.conversation.messages is not None
    assert arrival.conversation.messages[0].at is None
    assert {note.code for note in normalized(arrival).notes} == {"time_missing"}
    assert ("date_unreadable" in codes(arrival)) == bool(date)


# -- who writes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sender", "mapping", "role", "direction"),
    [
        ("ann@example.com", OURS, Role.CUSTOMER, Direction.INBOUND),
        ("Support <SUPPORT@acme.example>", OURS, Role.AGENT, Direction.INTERNAL),
        ("support+4711@acme.example", OURS, Role.AGENT, Direction.INTERNAL),
        ("tom@emea.staff.acme.example", OURS, Role.AGENT, Direction.INTERNAL),
        ("tom@notstaff.acme.example", OURS, Role.CUSTOMER, Direction.INBOUND),
        ("tom@acme.example", OURS, Role.CUSTOMER, Direction.INBOUND),
        ("ann@example.com", None, Role.UNKNOWN, None),
        ("=?utf-8?q?J=C3=B6rg?= <ann@example.com>", OURS, Role.CUSTOMER, Direction.INBOUND),
    ],
)
def test_who_the_agent_is_follows_from_the_companys_addresses(
    sender: str, mapping: SourceMapping | None, role: Role, direction: Direction | None
) -> None:
    arrival = read(message(From=sender), mapping)
    assert arrival.conversation.messages is not None
    author = arrival.conversation.messages[0].author
    assert next(p.role for p in arrival.conversation.participants if p.id == author) is role
    assert arrival.conversation.direction is direction
    assert ("roles_unknown" in codes(arrival)) == (role is Role.UNKNOWN)


def test_an_agents_answer_is_outbound() -> None:
    assert read(message(From="support@acme.example", To="ann@example.com")).conversation.direction is Direction.OUTBOUND


@pytest.mark.parametrize(
    "headers",
    [
        {"From": "'Ann' via Support <support@acme.example>", "X_Original_From": "Ann <ann@example.com>"},
        {"From": "support@acme.example", "X_Original_Sender": "ann@example.com"},
        {"From": "form@staff.acme.example", "Reply_To": "Ann <ann@example.com>"},
        {"From": "form@staff.acme.example", "Reply_To": "ann@example.com", "Auto_Submitted": "auto-generated"},
    ],
)
def test_lists_and_contact_forms_that_send_under_our_address_do_not_hide_the_customer(headers: dict[str, str]) -> None:
    arrival = read(message(**headers))
    assert arrival.conversation.messages is not None
    (one,) = arrival.conversation.messages
    author = next(person for person in arrival.conversation.participants if person.id == one.author)
    assert (author.address, author.role) == ("ann@example.com", Role.CUSTOMER)
    assert arrival.conversation.direction is Direction.INBOUND
    assert one.automatic is None


def test_an_answer_with_another_address_to_reply_to_is_still_the_agents() -> None:
    answer = message(From="support@acme.example", To="ann@example.com", Reply_To="tickets@desk.example")
    assert read(answer).conversation.direction is Direction.OUTBOUND


# -- automatic -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "automatic"),
    [
        ({}, None),
        ({"Auto_Submitted": "no"}, None),
        ({"Auto_Submitted": "auto-replied"}, Automatic.AUTO_REPLY),
        ({"Auto_Submitted": "auto-generated (vacation)"}, Automatic.AUTO_REPLY),
        ({"X_Autoreply": "yes"}, Automatic.AUTO_REPLY),
        ({"X_Auto_Response_Suppress": "All"}, Automatic.AUTO_REPLY),
        ({"X_Auto_Response_Suppress": "None"}, None),
        ({"Precedence": "auto_reply"}, Automatic.AUTO_REPLY),
        ({"Return_Path": "<>"}, Automatic.AUTO_REPLY),
        ({"Return_Path": "<ann@example.com>"}, None),
        ({"Content_Type": "multipart/report; report-type=delivery-status; boundary=x"}, Automatic.AUTO_REPLY),
        ({"List_Id": "Knitters <knit.lists.example>"}, Automatic.MAILING_LIST),
        ({"List_Unsubscribe": "<mailto:off@news.example>"}, Automatic.MAILING_LIST),
        ({"Precedence": "list"}, Automatic.MAILING_LIST),
        ({"Precedence": "bulk"}, Automatic.MAILING_LIST),
        ({"List_Id": "<support.staff.acme.example>"}, None),
        ({"List_Id": "<support.x>", "List_Post": "<mailto:support@acme.example>"}, None),
        ({"From": "support@acme.example", "Auto_Submitted": "auto-generated"}, None),
        ({"From": "support@acme.example", "X_Auto_Response_Suppress": "All"}, None),
        ({"From": "support@acme.example", "Auto_Submitted": "auto-replied"}, Automatic.AUTO_REPLY),
    ],
)
def test_what_nobody_wrote_by_hand_is_told_by_its_headers(headers: dict[str, str], automatic: Automatic | None) -> None:
    arrival = read(message(**headers))
    assert arrival.conversation.messages is not None
    assert arrival.conversation.messages[0].automatic is automatic


def test_an_out_of_office_is_the_systems_and_not_the_customers_mood() -> None:
    arrival = read(message(b"I am on holiday until Monday.", Auto_Submitted="auto-replied"))
    thread = normalized(arrival)
    (turn,) = turns_of_thread(thread)
    assert turn.role is Role.SYSTEM
    assert thread.messages[0].automatic is Automatic.AUTO_REPLY
    assert "auto_reply" in {note.code for note in thread.messages[0].notes}
    assert "auto_reply" in {note.code for note in thread.notes}
    person = next(p for p in arrival.conversation.participants if p.id == turn.participant_id)
    assert person.role is Role.CUSTOMER, "the person stays who they are"


def test_a_newsletter_is_the_systems_and_a_discussion_is_peoples() -> None:
    news = read(message(List_Id="<news.shop.example>", List_Unsubscribe="<https://shop.example/off>"))
    talk = read(message(List_Id="<knit.lists.example>", List_Post="<mailto:knit@lists.example>"))
    assert [turn.role for turn in turns_of_thread(normalized(news))] == [Role.SYSTEM]
    assert [turn.role for turn in turns_of_thread(normalized(talk))] == [Role.CUSTOMER]
    assert {note.code for note in normalized(talk).notes} >= {"mailing_list"}


# -- text and attachments --------------------------------------------------------------------------------------


def built(*, plain: str | None = None, html: str | None = None, files: tuple[tuple[str, bytes], ...] = ()) -> bytes:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "Ann One <ann@example.com>", "support@acme.example", "Kettle"
    mail["Message-ID"], mail["Date"] = "<1@example.com>", "Mon, 2 Nov 2026 10:00:00 +0100"
    if plain is not None:
        mail.set_content(plain)
    if html is not None and plain is not None:
        mail.add_alternative(html, subtype="html")
    elif html is not None:
        mail.set_content(html, subtype="html")
    for name, data in files:
        mail.add_attachment(data, maintype="application", subtype="pdf", filename=name)
    return mail.as_bytes()


def test_of_two_forms_the_plain_one_is_read_and_files_are_listed_with_their_size() -> None:
    arrival = read(built(plain="Grüße", html="<p>Hello</p>", files=(("Rechnung März.pdf", b"x" * 1000),)))
    assert arrival.conversation.messages is not None
    (one,) = arrival.conversation.messages
    assert one.text.strip() == "Grüße"
    assert [(a.name, a.media_type, a.size) for a in one.attachments] == [("Rechnung März.pdf", "application/pdf", 1000)]
    thread = normalized(arrival)
    assert thread.messages[0].attachments == one.attachments


def test_html_alone_is_read_as_a_person_would_and_quoted_mail_is_kept_and_marked() -> None:
    html = (
        "<html><head><title>t</title><style>p{}</style></head><body><script>alert(1)</script>"
        "<p>It broke <b>again</b>.</p>"
        "<table><tr><td>Order</td><td>4711</td></tr></table><div style='display:none'>preheader</div>"
        '<div class="gmail_quote">On Mon, Nov 2, 2026 at 9:00, Tom &lt;tom@acme.example&gt; wrote:<br>'
        "<blockquote><p>Does it work?</p><blockquote>older</blockquote></blockquote></div></body></html>"
    )
    arrival = read(built(html=html))
    sent = text(built(html=html))
    assert "> Does it work?" in sent
    assert "alert" not in sent
    assert "preheader" not in sent
    assert normalized(arrival).messages[0].text == "It broke again.\n\nOrder 4711"


def test_a_picture_alone_is_a_message_and_gives_no_turn() -> None:
    body = built(plain="", files=(("photo.pdf", b"x"),)).replace(b"Subject: Kettle\n", b"")
    thread = normalized(read(body))
    assert [a.name for a in thread.messages[0].attachments] == ["photo.pdf"]
    assert turns_of_thread(thread) == ()


def test_a_message_inside_a_message_is_a_file() -> None:
    inner = message(b"Secret of somebody else.")
    mail = b"--b\r\n\r\nSee below.\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n" + inner + b"\r\n--b--\r\n"
    arrival = read(message(mail, Content_Type="multipart/mixed; boundary=b"))
    assert arrival.conversation.messages is not None
    (one,) = arrival.conversation.messages
    assert one.text == "See below."
    assert [a.name for a in one.attachments] == ["message.eml"]


@pytest.mark.parametrize(
    "reply", ["android", "aol", "apple_mail", "gmail", "hotmail", "iphone", "outlook", "thunderbird", "yahoo"]
)
def test_real_replies_come_out_as_what_was_written(reply: str) -> None:
    path: Path = sample(f"email/{reply}.eml")
    arrival = read(path.read_bytes())
    assert arrival.conversation.messages is not None
    thread = normalized(arrival)
    assert thread.messages[0].text == "Hello"
    assert len(thread.messages[0].text_as_sent) > len("Hello") + 10, "the text is kept as it was sent"
    assert all(person.id.startswith("person-") for person in arrival.conversation.participants)


@pytest.mark.parametrize(
    ("charset", "declared"),
    [
        ("utf-8", "utf-8"),
        ("cp1252", "iso-8859-1"),
        ("utf-8", "iso-8859-1"),
        ("utf-8", "us-ascii"),
        ("cp1252", "us-ascii"),
        ("utf-8", "x-no-such-thing"),
        ("cp1252", "utf-8"),
        ("utf-8", "zlib"),
        ("utf-8", ""),
        ("utf-16", "utf-16"),
    ],
)
def test_wrong_and_missing_charsets(charset: str, declared: str) -> None:
    words = "Größe für 5 €"
    kind = f'text/plain; charset="{declared}"' if declared else "text/plain"
    body = message(base64.b64encode(words.encode(charset)), Content_Type=kind, Content_Transfer_Encoding="base64")
    assert text(body) == words
