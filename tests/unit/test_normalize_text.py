"""Cleaning of texts: what goes, what stays, and that a second time changes nothing."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.text import MARKS_KEPT, clean_text, join_texts

TWENTY_LANGUAGES = {
    "en": "My parcel has not arrived.",
    "de": "Mein Päckchen ist nicht angekommen, größer geht's nicht.",
    "fr": "Où est mon colis ? C'est inadmissible.",
    "es": "¿Dónde está mi paquete?",
    "pt": "Onde está a minha encomenda? Não chegou.",
    "it": "Perché il pacco non è arrivato?",
    "nl": "Waar is mijn pakketje?",
    "sv": "Var är mitt paket någonstans?",
    "pl": "Gdzie jest moja przesyłka?",
    "cs": "Kde je můj balíček?",
    "tr": "Paketim nerede? Şikâyetim var.",
    "el": "Πού είναι το δέμα μου;",
    "ru": "Где моя посылка?",
    "uk": "Де моя посилка? Її немає.",
    "he": "איפה החבילה שלי?",
    "ar": "أين طردي؟",
    "fa": "بسته‌ی من کجاست؟ می‌خواهم بدانم.",
    "hi": "मेरा पार्सल कहाँ है? क्‍या हुआ?",
    "th": "พัสดุของฉันอยู่ที่ไหน",
    "ja": "荷物はどこですか?",
    "zh": "我的包裹在哪里?",
    "ko": "제 소포는 어디에 있나요?",
    "vi": "Bưu kiện của tôi ở đâu?",
}


@pytest.mark.parametrize("language", TWENTY_LANGUAGES)
def test_a_text_of_any_language_stays_as_it_is(language: str) -> None:
    text = unicodedata.normalize("NFC", TWENTY_LANGUAGES[language])
    assert clean_text(text) == text
    assert clean_text(unicodedata.normalize("NFD", text)) == text


@pytest.mark.parametrize(
    "emoji",
    ["😀", "👩‍👧‍👦", "🏳️‍🌈", "❤️‍🔥", "👍🏽", "🇩🇪", "1️⃣", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "🧑🏿‍🚀"],
    ids=["face", "family", "rainbow", "fire", "skin", "flag", "keycap", "england", "astronaut"],
)
def test_emoji_stay_whole(emoji: str) -> None:
    assert clean_text(f"thanks {emoji} bye") == f"thanks {emoji} bye"


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("a\x00b\x07c\x1b[31m", "abc[31m"),
        ("one\r\ntwo\rthree\u2028four", "one\ntwo\nthree\nfour"),
        ("tab\tstays", "tab\tstays"),
        ("card 4\u200b111\u200d1\ufeff1", "card 411111"),
        ("\u202egnihtemos\u202c else", "gnihtemos else"),
        ("\u2066hidden\u2069", "hidden"),
        ("soft\u00adhyphen", "softhyphen"),
        ("1\u00a0000\u202f€", "1 000 €"),
        ("lone \ud83d surrogate", "lone \ufffd surrogate"),
        ("smuggled\U000e0069\U000e0067\U000e006e", "smuggled"),
        ("cafe\u0301", "café"),
        ("  \n ends \n", "ends"),
        ("\u200b\u200b", ""),
        ("", ""),
    ],
)
def test_what_goes(sent: str, read: str) -> None:
    assert clean_text(sent) == read


def test_a_megabyte_of_combining_marks_is_bounded() -> None:
    """Composing 1,000,000 marks on one letter takes a quarter of an hour; thirty take nothing."""
    cleaned = clean_text("z" + "\u0315\u0300" * 500_000)
    assert len(cleaned) <= MARKS_KEPT + 1


unruly = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from("\u200c\u200d\u200b\u202e\ufeff\u0301\u0344\u0315\r\n\u2028\x00 \u00a0👩क\u094dا"),
    ),
    max_size=80,
)


@given(unruly)
def test_cleaning_again_changes_nothing(text: str) -> None:
    once = clean_text(text)
    assert clean_text(once) == once
    assert unicodedata.is_normalized("NFC", once)


@given(unruly)
def test_nothing_unseen_is_left(text: str) -> None:
    for character in clean_text(text):
        category = unicodedata.category(character)
        assert category not in ("Cc", "Cs") or character in "\n\t"
        assert character not in "\u200b\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"


def test_texts_are_joined_as_their_script_does() -> None:
    assert join_texts("I called", "twice") == "I called twice"
    assert join_texts("荷物は", "どこ") == "荷物はどこ"
    assert join_texts("", "x") == join_texts("x", "") == "x"
