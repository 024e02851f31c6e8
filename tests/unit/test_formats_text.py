"""Bytes as text and HTML as text, whoever wrote them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.errors import InvalidInput
from domain.mapping import Format
from domain.strict_json import MalformedBody
from engines.formats.charsets import codec_of, decoded
from engines.formats.html import html_text
from tests.support.formats import arrivals, outcomes

WORDS = {
    "cp1251": "Добрый день! Мой заказ не пришёл, верните деньги, пожалуйста.",
    "koi8-r": "Добрый день! Мой заказ не пришёл, верните деньги, пожалуйста.",
    "cp932": "こんにちは。注文した商品がまだ届いていません。確認をお願いします。",
    "euc_jp": "こんにちは。注文した商品がまだ届いていません。確認をお願いします。",
    "iso2022_jp": "こんにちは。注文した商品がまだ届いていません。確認をお願いします。",
    "gb18030": "您好，我的订单还没有收到，请帮我查一下。谢谢您的帮助",
    "big5": "您好，我的訂單還沒有收到，請幫我查一下。謝謝您的幫助",
    "cp949": "안녕하세요. 주문한 상품이 아직 도착하지 않았습니다. 확인 부탁드립니다.",
    "cp1253": "Καλημέρα, η παραγγελία μου δεν έφτασε ακόμα",
    "cp1252": "Die Lieferung fehlt, ich möchte mein Geld zurück – für 5 €",
    "utf-8": "Größe 🙂",
    "utf-16": "Größe 🙂",
}


@pytest.mark.parametrize("charset", WORDS)
def test_a_charset_nobody_names_is_found_out(charset: str) -> None:
    assert decoded(WORDS[charset].encode(charset), None).text == WORDS[charset]


@pytest.mark.parametrize("charset", WORDS)
def test_a_charset_that_is_named_rightly_is_believed(charset: str) -> None:
    read = decoded(WORDS[charset].encode(charset), charset)
    assert (read.text, read.guessed) == (WORDS[charset], False)


NO_CHARSETS = ["zlib", "hex", "rot13", "punycode", "idna", "unicode_escape", "undefined", "mbcs", "", "x" * 500, "\0"]


@pytest.mark.parametrize("charset", NO_CHARSETS)
def test_codecs_that_are_no_charsets_are_not_used(charset: str) -> None:
    assert codec_of(charset) is None
    assert decoded(b"x" * 100, charset).text == "x" * 100


@given(
    st.binary(max_size=500), st.sampled_from([None, "utf-8", "cp1252", "utf-16", "gb18030", "x-unknown", "us-ascii"])
)
def test_any_bytes_are_a_text(data: bytes, charset: str | None) -> None:
    read = decoded(data, charset)
    assert isinstance(read.text, str)
    assert read == decoded(data, charset)


@given(st.text(st.characters(codec="utf-8")))
def test_what_was_written_as_utf8_is_read_back(text: str) -> None:
    if not text.startswith("\ufeff"):
        assert decoded(text.encode(), "utf-8").text == text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>one</p><p>two</p>", "one\n\ntwo"),
        ("a<br>b<br/>c", "a\nb\nc"),
        ("<div>a</div><div><br></div><div>b</div>", "a\n\nb"),
        ("<ul><li>one<ul><li>inner</ul><li>two</ul>", "* one\n+ inner\n* two"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\nc"),
        ("x<script>evil()</script><style>p{}</style><!-- c -->y", "xy"),
        ("<p style='display: none'>seen by machines</p>read", "read"),
        ("a &lt;b&gt; &amp; c&nbsp;d", "a <b> & c d"),
        ("<blockquote>old<br>older</blockquote>new", "> old\n> older\n\nnew"),
        ("<pre>a\n  b</pre>", "a\n  b"),
        ("<a href='https://x.example'>here</a>", "here"),
        ("<?xml version='1.0' encoding='utf-8'?><p>ä</p>", "ä"),
        ("plain 1 < 2 text", "plain 1 < 2 text"),
        ("", ""),
    ],
)
def test_html_is_read_as_a_person_would(html: str, text: str) -> None:
    assert html_text(html).replace("\u00a0", " ") == text


PIECES = ["<p>", "</p>", "<blockquote>", "<td>", "<li>", "<ul>", "<script>", "</script>", "word", "<!--", "&amp;", "<",
          ">", "\ue000", "\0", "\n", "<b", "=\"'", "</"]  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
def test_any_html_is_a_text(html: str) -> None:
    text = html_text(html)
    assert text == text.strip()
    assert "\ue000" not in text


def test_what_a_parser_leaves_out_is_read_without_one() -> None:
    """Elements 300 deep are too deep for the parser, which would drop what comes after them as well."""
    assert html_text("<div>" * 300 + "deep" + "</div>" * 300 + "<p>after</p>").split() == ["deep", "after"]


CANONICAL = (
    '{"external_id": "%s", "channel": "chat", "participants": [{"id": "c", "role": "customer"}], '
    '"messages": [{"author": "c", "text": "x"}]}'
)


def test_canonical_conversations_one_a_line_in_a_list_or_alone() -> None:
    one, two = (CANONICAL % "a").encode(), (CANONICAL % "b").encode()
    for body in (one + b"\n" + two, b"[" + one + b"," + two + b"]", one + two):
        found = arrivals(Format.CANONICAL, body)
        assert [arrival.conversation.external_id for arrival in found] == ["a", "b"]
        assert not any(arrival.adds or arrival.links for arrival in found)


def test_canonical_lines_are_checked_as_strictly_as_a_request() -> None:
    good = (CANONICAL % "a").encode()
    bad = [b"{", good.replace(b"chat", b"fax"), good.replace(b'"x"', b"NaN"), good[:-1] + b', "more": 1}',
           good.replace(b'"c", "role"', b'"\\u0000", "role"')]  # fmt: skip
    found = outcomes(Format.CANONICAL, b"\n".join([good, *bad, good]), media_type="application/x-ndjson")
    assert [outcome.error is None for outcome in found] == [True, *[False] * len(bad), True]
    assert isinstance(found[1].error, MalformedBody)
    assert found[2].error is not None
    assert found[2].error.problems[0].field == "channel"


def test_a_list_that_does_not_end_gives_what_came_before_and_is_refused() -> None:
    with pytest.raises(InvalidInput, match="does not end"):
        outcomes(Format.CANONICAL, b"[" + (CANONICAL % "a").encode() + b",")
