"""What a summary holds and leaves out, and what is left to do. Written for the tests; no line is of a labelled case."""

from __future__ import annotations

import pytest

from engines.language_models.offline.analysis import Analysis
from engines.language_models.offline.digest import choose, units_of
from engines.language_models.offline.grammar import plain, third_person
from tests.support.offline import conversation, value_of, values

STROLLER = (
    "C: Broken buckle\n\nDear team,\n\nThe pushchair you sent on 4 May has a buckle that doesn't close. "
    "I paid 219 euros. I need it for a trip on 20 May.\n\nKind regards\nAnna Berg\nFlower Street 3",
    "A: Dear Anna,\n\nI am so glad you told us! I've ordered a new buckle, it will be with you by 12 May. "
    "Your satisfaction is our priority.\n\nWarm wishes\nThe Rollo team",
    "C: Good, thank you.",
)


def summary(*lines: str, language: str | None = "en") -> str:
    return str(value_of("summary", *lines, language=language))


def test_a_summary_holds_what_amounts_dates_and_deeds_there_are() -> None:
    text = summary(*STROLLER)
    for fact in ("buckle", "219", "20 May", "12 May", "ordered"):
        assert fact in text, f"{fact} is not in: {text}"


def test_a_summary_leaves_salutations_signatures_and_cheer_out() -> None:
    text = summary(*STROLLER).lower()
    for noise in ("dear", "regards", "flower street", "glad", "priority", "rollo"):
        assert noise not in text, f"{noise} is in: {text}"


def test_a_summary_of_much_is_as_short_as_one_of_little() -> None:
    lines = [
        *(
            f"C: I also noticed that charge number {n} of {n * 3} euros was made on the {n}th of May."
            for n in range(1, 20)
        ),
        *(f"A: I've refunded the {n * 3} euros of the {n}th to your card." for n in range(1, 20)),
    ]
    assert 40 < len(summary(*lines).split()) <= 80


def test_what_was_offered_and_declined_does_not_read_as_done() -> None:
    lines = (
        "C: I'd like to cancel my tea subscription, there are nine boxes in my kitchen.",
        "A: You could pause it for three months instead.",
        "C: No thanks, just cancel it please.",
        "A: I've cancelled it, there are no more payments.",
    )
    text = summary(*lines).lower()
    assert "paused" not in text
    assert "cancel" in text
    assert "could pause" in text or "pause" not in text


def test_details_asked_for_to_know_who_calls_are_no_news() -> None:
    lines = (
        "A: Could I have the postcode and the last four digits please?",
        "C: My kettle leaks on the worktop.",
        "A: That matches the account on file. A new kettle comes on Friday.",
    )
    text = summary(*lines).lower()
    assert "postcode" not in text
    assert "friday" in text


def test_read_out_digits_are_not_retold() -> None:
    lines = ("C: it's four nine one one seven two the boiler", "A: okay the engineer is with you on monday")
    assert "four nine one" not in summary(*lines)


def test_every_chosen_clause_adds_something_and_fits() -> None:
    turns = conversation(*STROLLER)
    units = units_of(Analysis(turns, "en"))
    chosen = choose(units, [], 30, lambda some: sum(u.sentence.word_count for u in some))
    assert 0 < sum(u.sentence.word_count for u in chosen) <= 30
    assert len({(u.sentence.index, u.sentence.start) for u in chosen}) == len(chosen)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Hi there, my phone is [phone] and the screen is black", "the screen is black"),
        ("[name] told me to wait", "someone told me to wait"),
        ("No bag and no tracking number came", "No bag and no tracking number came"),
        ("No, it has not come", "it has not come"),
        ("I'd like a refund thanks", "I'd like a refund"),
        ("There are two of them", "There are two of them"),
    ],
)
def test_plain_words(text: str, kept: str) -> None:
    assert plain(text) == kept


@pytest.mark.parametrize(
    ("text", "turned"),
    [
        ("the agent need the form", "the agent needs the form"),
        ("the company haven't answered", "the company hasn't answered"),
        ("let the customer see it", "let the customer see it"),
        ("the company can send it", "the company can send it"),
    ],
)
def test_verbs_of_the_third_person(text: str, turned: str) -> None:
    assert third_person(text) == turned


@pytest.mark.parametrize(
    ("lines", "held", "left_out"),
    [
        pytest.param(
            (
                "C: You billed me for a saddle I gave back.",
                "A: If you send us the slip from the shop, we'll take it off the bill.",
                "C: Okay, I'll scan it tonight.",
            ),
            ("Customer: send", "Agent: take it off"),
            (),
            id="a condition that is taken up",
        ),
        pytest.param(
            (
                "C: You billed me for a saddle I gave back.",
                "A: If you send us the slip from the shop, we'll take it off the bill.",
                "C: Sent just now.",
                "A: Got it, I've taken it off.",
            ),
            (),
            ("Customer: send",),
            id="a condition that is met",
        ),
        pytest.param(
            (
                "C: My blender died.",
                "A: I can send you a repair kit.",
                "C: No, I don't want to repair it.",
                "A: All right.",
            ),
            (),
            ("repair kit",),
            id="an offer that is declined",
        ),
        pytest.param(
            ("C: I want my deposit.", "A: I've issued it today, it takes up to 5 days to reach your bank.", "C: Fine."),
            ("5 days",),
            (),
            id="what is under way and takes time",
        ),
        pytest.param(
            ("C: The lid is cracked.", "A: Please hand in the old one at the shop within 14 days.", "C: ok"),
            ("Customer: hand in",),
            (),
            id="what is asked with a deadline",
        ),
        pytest.param(
            ("C: Which bus goes there?", "A: You can take line 4 until midnight.", "C: Right."),
            (),
            ("line 4",),
            id="what the customer may do is no task",
        ),
    ],
)
def test_next_actions_follow_what_became_of_it(
    lines: tuple[str, ...], held: tuple[str, ...], left_out: tuple[str, ...]
) -> None:
    actions = str(value_of("next_actions", *lines))
    assert all(text in actions for text in held), actions
    assert not [text for text in left_out if text in actions], actions


@pytest.mark.parametrize(
    ("lines", "scores"),
    [
        (("C: Give me my four hundred euros back.",), {None, 1, 2}),
        (
            (
                "C: the bike has a dent nobody mentioned",
                "A: I'll call you at three.",
                "C: then please do call, last time nobody did",
            ),
            {2},
        ),
        (
            (
                "C: The pool was wonderful and the staff lovely, a dream.",
                "C: The food was awful, stone cold.",
                "C: so there you go",
            ),
            {3},
        ),
        (("C: what kind of beds do you have in the large room",), {None}),
    ],
)
def test_csat_is_not_read_into_words(lines: tuple[str, ...], scores: set[int | None]) -> None:
    assert value_of("csat", *lines) in scores


@pytest.mark.parametrize(
    ("lines", "level", "reason"),
    [
        (("C: i'm leaving tomorrow for the airport so please send it today",), None, None),
        (
            ("C: I'll take it to my director and we are evaluating three other vendors, they are cheaper.",),
            "medium",
            "cheaper",
        ),
        (("C: Please close my workspace at the end of June. We have been merged into another firm.",), "high", None),
    ],
)
def test_leaving_is_about_the_relation(lines: tuple[str, ...], level: str | None, reason: str | None) -> None:
    found = values(conversation(*lines), "churn_risk", "churn_reason")
    assert found["churn_risk"].value == level
    assert reason is None or reason in str(found["churn_reason"].value)


@pytest.mark.parametrize("language", ["de", "es"])
def test_other_languages_are_quoted_and_short(language: str) -> None:
    lines = {
        "de": (
            "C: Guten Tag, meine Rechnung vom 3. Mai über 48 Euro ist falsch, ich habe nur 30 Euro verbraucht.",
            "A: Das tut mir leid. Sie erhalten bis Freitag eine korrigierte Rechnung und eine Gutschrift über 18 Euro.",
            "C: Danke, das ging ja schnell!",
        ),
        "es": (
            "C: Buenos días, la factura del 3 de mayo de 48 euros está mal, solo he gastado 30 euros.",
            "A: Lo siento. Le envío una factura nueva el viernes y le devolvemos 18 euros.",
            "C: Gracias, qué rapidez.",
        ),
    }[language]
    text = summary(*lines, language=language)
    assert "48" in text
    assert "18" in text
    assert len(text.split()) <= 80
    assert value_of("csat", *lines, language=language) in {4, 5}
    assert value_of("contact_reason", *lines, language=language) == "billing"
    assert value_of("next_actions", *lines, language=language) is not None
