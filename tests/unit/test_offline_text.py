"""Sentences, cues and their context: the parts the offline engine's judgements stand on."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.language_models.offline.analysis import Analysis
from engines.language_models.offline.cues import CueSet, compiled, cues
from engines.language_models.offline.grammar import shortened
from engines.language_models.offline.lexicon import LANGUAGES, lexicon
from engines.language_models.offline.lexicon.base import Lexicon
from engines.language_models.offline.retell import agent_clause, agent_statement, customer_statement
from engines.language_models.offline.text import fold, guess_language, spans, words
from tests.support.offline import conversation, value_of


@given(st.text(max_size=300))
def test_folding_keeps_every_offset(text: str) -> None:
    assert len(fold(text)) == len(text)


@given(st.text(alphabet="ab .,!?\n-…;'1", max_size=300))
def test_sentences_are_ordered_and_lose_no_word(text: str) -> None:
    cut = spans(text)
    assert all(a < b for a, b in cut)
    assert all(first[1] <= second[0] for first, second in pairwise(cut))
    assert [w for a, b in cut for w in words(fold(text[a:b]))] == words(fold(text))


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("I paid £9.99 on 3.5. and it works.", 1),
        ("Mr. Smith called. Nobody answered!", 2),
        ("Subject line\n\nHello there", 2),
        ("vom 13. bis 16. November", 1),
        (
            "so i called you on monday and the man said he would ring me back but nobody did so i called again on "
            "tuesday and i waited for an hour and then i was cut off",
            3,
        ),
    ],
)
def test_sentence_borders(text: str, count: int) -> None:
    assert len(spans(text)) >= count if count > 2 else len(spans(text)) == count


def test_the_pattern_language_of_cues() -> None:
    cue = cues("test", "charged … twice | don't know | cancel~ | (?:a|b) c | we'll go")
    found = [m[0] for m in cue.find("charged my card twice, dont know, cancelled, a c, charged. then twice, well go")]
    assert found == ["charged my card twice", "dont know", "cancelled", "a c"]


def _all_cues(node: object) -> list[CueSet]:
    if isinstance(node, CueSet):
        return [node]
    children = vars(node).values() if hasattr(node, "__dict__") else ()
    if isinstance(node, dict):
        children = node.values()
    elif isinstance(node, tuple):
        children = node
    return [cue for child in children for cue in _all_cues(child)]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_lexicon_is_whole_and_compiles(language: str) -> None:
    found: Lexicon = lexicon(language)
    for cue in _all_cues(found):
        assert cue.phrases, cue.name
        for phrase in cue.phrases:
            assert compiled((phrase,)).search("") is None, f"{cue.name}: {phrase} finds nothing"
    assert set(found.reasons) == set(lexicon("en").reasons)


@pytest.mark.parametrize(
    ("text", "hint", "language"),
    [
        ("I would like to know where my order is", None, "en"),
        ("Hola, no he recibido mi pedido y no sé dónde está", None, "es"),
        ("Ich habe meine Rechnung nicht bekommen und warte noch", "en", "de"),
        ("ok", "es-MX", "es"),
        ("ok", "pl", None),
        ("Gdzie jest moja paczka, czekam już dwa tygodnie na dostawę", None, None),
        ("注文した商品がまだ届いていません。いつ届きますか", None, None),
    ],
)
def test_language(text: str, hint: str | None, language: str | None) -> None:
    assert guess_language(text, hint) == language


@pytest.mark.parametrize(
    ("said", "sign"),
    [
        ("I am very happy with it.", 1),
        ("I am not happy with it.", -1),
        ("I'm not at all impressed.", -1),
        ("I'm not angry at all.", 0),
        ("My wife was furious about it.", 0),
        ("My neighbour said your service is terrible.", 0),
        ("You said it would be amazing.", 0),
        ("It would be great if you called me.", 0),
        ("Are you happy with it?", 0),
        ("My old provider was terrible.", 0),
        ("Your driver was rude.", -1),
        ("The engineer was brilliant.", 1),
        ("Fantastic, another week without hot water.", -1),
        ("Well, that's just great, now it's broken again.", -1),
        ("Great, my parcel has arrived safely, thanks!", 1),
        ("Nothing was terrible about it.", 0),
    ],
)
def test_what_a_feeling_word_means_where_it_stands(said: str, sign: int) -> None:
    strengths = [f.strength for f in Analysis(conversation(f"C: {said}"), "en").feelings]
    assert (sum(strengths) > 0) - (sum(strengths) < 0) == sign


def _first(line: str) -> str | None:
    analysis = Analysis(conversation(line), "en")
    sentence = analysis.sentences[0]
    if line[0] == "C":
        return customer_statement(sentence, analysis, first=True, limit=30)
    return agent_statement(sentence, analysis, limit=30)


@pytest.mark.parametrize(
    ("line", "retold"),
    [
        ("C: I was charged twice for my order.", "The customer said they were charged twice for their order."),
        ("C: Hi, I'm calling because my phone is broken.", "The customer got in touch because their phone is broken."),
        ("C: Could you please send me the form?", "The customer asked the company to send them the form."),
        ("C: Where is my parcel?", "The customer asked where their parcel is."),
        ("C: Can I return it?", "The customer asked whether they can return it."),
        (
            "A: I've refunded the second payment to your card.",
            "The agent has refunded the second payment to their card.",
        ),
        ("A: We'll send you a new one, [name].", "The company will send the customer a new one."),
        ("A: Please send us a photo.", "The agent asked the customer to send the company a photo."),
    ],
)
def test_retelling_in_the_third_person(line: str, retold: str) -> None:
    assert _first(line) == retold


def test_what_is_put_in_is_not_replaced_again() -> None:
    assert (
        agent_clause("I will ask my manager about your order")
        == "the agent will ask the agent's manager about their order"
    )


def test_shortening_stops_where_a_clause_ends() -> None:
    assert (
        shortened("the parcel went back to the depot because the van broke down", 8)
        == "the parcel went back to the depot"
    )


def test_a_summary_is_short_in_the_third_person_and_without_names() -> None:
    lines = (
        "A: Hello [name], thanks for contacting us.",
        "C: Hi, my name is [name]. My new fridge makes a loud noise at night and I can't sleep.",
        "C: I bought it in your shop in Leeds two weeks ago.",
        "A: I've checked the warranty, it covers the compressor. I've booked a technician for Friday, he "
        "will call you.",
        "C: Great, thank you so much for your help.",
    )
    summary = str(value_of("summary", *lines))
    assert "fridge" in summary
    assert "technician" in summary
    assert "[" not in summary
    assert len(summary.split()) <= 80
    assert not {"i", "my", "me"} & set(words(fold(summary)))
