"""Languages are told apart where the text gives ground, and not otherwise."""

import pytest

from engines.languages.identify import LinguaIdentifier

SENTENCES = {
    "en": "My parcel has still not arrived and nobody answers the phone.",
    "de": "Mein Paket ist immer noch nicht angekommen und niemand geht ans Telefon.",
    "es": "Mi paquete todavía no ha llegado y nadie contesta el teléfono.",
    "fr": "Mon colis n'est toujours pas arrivé et personne ne répond au téléphone.",
    "it": "Il mio pacco non è ancora arrivato e nessuno risponde al telefono.",
    "pt": "A minha encomenda ainda não chegou e ninguém atende o telefone.",
    "nl": "Mijn pakket is nog steeds niet aangekomen en niemand neemt de telefoon op.",
    "pl": "Moja paczka nadal nie dotarła i nikt nie odbiera telefonu.",
    "cs": "Můj balík stále nedorazil a nikdo nezvedá telefon.",
    "sv": "Mitt paket har fortfarande inte kommit och ingen svarar i telefonen.",
    "fi": "Pakettini ei ole vieläkään saapunut eikä kukaan vastaa puhelimeen.",
    "hu": "A csomagom még mindig nem érkezett meg, és senki sem veszi fel a telefont.",
    "tr": "Paketim hâlâ gelmedi ve kimse telefona cevap vermiyor.",
    "ro": "Coletul meu încă nu a ajuns și nimeni nu răspunde la telefon.",
    "ru": "Моя посылка до сих пор не пришла, и никто не берёт трубку.",
    "uk": "Моя посилка досі не прийшла, і ніхто не бере слухавку.",
    "el": "Το δέμα μου δεν έχει φτάσει ακόμα και κανείς δεν απαντά στο τηλέφωνο.",
    "ar": "لم يصل طردي حتى الآن ولا أحد يجيب على الهاتف.",
    "he": "החבילה שלי עדיין לא הגיעה ואף אחד לא עונה לטלפון.",
    "hi": "मेरा पार्सल अभी तक नहीं आया है और कोई फोन नहीं उठाता।",
    "ja": "荷物がまだ届いておらず、誰も電話に出ません。",
    "ko": "소포가 아직 도착하지 않았고 아무도 전화를 받지 않습니다.",
    "zh": "我的包裹还没有到，也没有人接电话。",
    "th": "พัสดุของฉันยังไม่มาถึงและไม่มีใครรับโทรศัพท์",
    "vi": "Bưu kiện của tôi vẫn chưa đến và không ai trả lời điện thoại.",
}


@pytest.fixture(scope="module")
def identifier() -> LinguaIdentifier:
    return LinguaIdentifier()


@pytest.mark.parametrize("language", SENTENCES)
def test_a_sentence_is_enough(identifier, language):
    assert identifier.identify(SENTENCES[language]).language == language


@pytest.mark.parametrize("text", ["", "ok", "12345 678", "😡😡😡", "!!! ???", "\u200f\u200f"])
def test_no_ground_no_language(identifier, text):
    assert identifier.identify(text).language is None


def test_candidates_narrow_the_choice(identifier):
    assert identifier.identify(SENTENCES["pt"], ("es", "pt-BR")).language == "pt"
    assert identifier.identify(SENTENCES["de"], ("en",)).language is None
    assert identifier.identify(SENTENCES["en"], ("en", "xx")).language == "en"
