"""What a language identifier promises, held against lingua."""

import threading

import pytest

from engines.languages.identify import LinguaIdentifier
from engines.protocols import LanguageIdentifier

SENTENCES = {
    "en": "Good morning, my parcel has not arrived yet and I would like to know where it is.",
    "de": "Guten Morgen, mein Paket ist noch nicht angekommen und ich wüsste gern, wo es ist.",
    "fr": "Bonjour, mon colis n'est pas encore arrivé et je voudrais savoir où il se trouve.",
    "es": "Buenos días, mi paquete todavía no ha llegado y me gustaría saber dónde está.",
    "pt": "Bom dia, a minha encomenda ainda não chegou e gostaria de saber onde está.",
    "it": "Buongiorno, il mio pacco non è ancora arrivato e vorrei sapere dove si trova.",
    "nl": "Goedemorgen, mijn pakketje is nog niet aangekomen en ik wil graag weten waar het is.",
    "sv": "God morgon, mitt paket har inte kommit fram än och jag undrar var det är någonstans.",
    "pl": "Dzień dobry, moja przesyłka jeszcze nie dotarła i chciałbym wiedzieć, gdzie jest.",
    "cs": "Dobré ráno, můj balíček ještě nedorazil a rád bych věděl, kde se nachází.",
    "tr": "Günaydın, paketim henüz gelmedi ve nerede olduğunu öğrenmek istiyorum.",
    "fi": "Huomenta, pakettini ei ole vielä saapunut ja haluaisin tietää, missä se on.",
    "hu": "Jó reggelt, a csomagom még nem érkezett meg, és szeretném tudni, hol van.",
    "ro": "Bună dimineața, coletul meu nu a ajuns încă și aș vrea să știu unde este.",
    "el": "Καλημέρα, το δέμα μου δεν έχει φτάσει ακόμα και θα ήθελα να μάθω πού βρίσκεται.",
    "ru": "Доброе утро, моя посылка ещё не пришла, и я хотел бы узнать, где она находится.",
    "uk": "Доброго ранку, моя посилка ще не прийшла, і я хотів би дізнатися, де вона.",
    "he": "בוקר טוב, החבילה שלי עדיין לא הגיעה ואני רוצה לדעת איפה היא.",
    "ar": "صباح الخير، لم يصل طردي بعد وأود أن أعرف أين هو.",
    "fa": "صبح بخیر، بسته‌ی من هنوز نرسیده است و می‌خواهم بدانم کجاست.",
    "hi": "सुप्रभात, मेरा पार्सल अभी तक नहीं आया है और मैं जानना चाहता हूँ कि वह कहाँ है।",
    "th": "สวัสดีตอนเช้า พัสดุของฉันยังมาไม่ถึงและฉันอยากทราบว่าอยู่ที่ไหน",
    "ja": "おはようございます。荷物がまだ届いていないので、どこにあるか知りたいです。",
    "zh": "早上好，我的包裹还没有到，我想知道它在哪里。",
    "ko": "안녕하세요, 제 소포가 아직 도착하지 않아서 어디에 있는지 알고 싶습니다.",
    "vi": "Chào buổi sáng, bưu kiện của tôi vẫn chưa đến và tôi muốn biết nó ở đâu.",
}


@pytest.fixture(scope="module")
def identifier() -> LanguageIdentifier:
    return LinguaIdentifier()


@pytest.mark.parametrize("language", SENTENCES)
def test_a_sentence_is_enough(identifier: LanguageIdentifier, language: str) -> None:
    guess = identifier.identify(SENTENCES[language])
    assert guess.language == language
    assert guess.confidence >= 0.5


@pytest.mark.parametrize(
    "text",
    ["", "   \n", "ok", "hi", "12345 678", "😀😀😀", "a@example.com https://example.com/x", "[name]", "FR-208814"],
)
@pytest.mark.parametrize("candidates", [(), ("en", "de")])
def test_what_gives_no_ground(identifier: LanguageIdentifier, text: str, candidates: tuple[str, ...]) -> None:
    guess = identifier.identify(text, candidates)
    assert guess.language is None
    assert guess.confidence < 0.5


@pytest.mark.parametrize("text", ["Where is it?", "¿Dónde está mi paquete?", "Где моя посылка?", "Asdf qwer yxcv"])
def test_too_short_without_candidates(identifier: LanguageIdentifier, text: str) -> None:
    assert identifier.identify(text).language is None


@pytest.mark.parametrize(
    ("text", "language"),
    [("where is my order", "en"), ("wo ist meine Bestellung", "de"), ("WO IST SIE DENN NUR", "de")],
)
def test_candidates_help_with_short_texts(identifier: LanguageIdentifier, text: str, language: str) -> None:
    assert identifier.identify(text, ("en-GB", "de")).language == language


def test_a_text_in_two_languages_has_none(identifier: LanguageIdentifier) -> None:
    mixed = "I want my money back. Ich will mein Geld zurück. Thank you very much. Vielen Dank dafür."
    guess = identifier.identify(mixed, ("en", "de"))
    assert guess.language is None
    assert guess.confidence < 0.5


def test_a_foreign_sentence_does_not_change_a_text(identifier: LanguageIdentifier) -> None:
    text = f"{SENTENCES['de']} {SENTENCES['de']} Thank you very much."
    assert identifier.identify(text, ("en", "de")).language == "de"


def test_a_long_text_outside_the_candidates_is_not_forced_into_them(identifier: LanguageIdentifier) -> None:
    guess = identifier.identify(" ".join([SENTENCES["fr"]] * 3), ("en", "de"))
    assert guess.language == "fr"


def test_candidates_that_nobody_knows_are_passed_over(identifier: LanguageIdentifier) -> None:
    assert identifier.identify(SENTENCES["en"], ("tlh", "qya")).language == "en"
    assert identifier.identify("God morgen, hvor er pakken min?", ("no", "en")).language == "nb"


def test_a_megabyte_is_no_trouble(identifier: LanguageIdentifier) -> None:
    assert identifier.identify(SENTENCES["en"] * 12_000).language == "en"


def test_many_threads_share_one(identifier: LanguageIdentifier) -> None:
    wrong: list[str] = []

    def ask(language: str) -> None:
        for _ in range(20):
            if identifier.identify(SENTENCES[language]).language != language:
                wrong.append(language)

    threads = [threading.Thread(target=ask, args=(language,)) for language in ("en", "de", "ja", "ru")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert wrong == []
