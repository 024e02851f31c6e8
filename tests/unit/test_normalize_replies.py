"""What is new in an email: history and signatures go, the author's own words never do."""

import email
import os
from email import policy
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.replies import new_text
from domain.text import clean_text

SAMPLE = Path(os.environ.get("PARLEY_SAMPLE_DATA", Path(__file__).parents[3] / "shared/data/real-sample")) / "email"


@pytest.mark.skipif(not SAMPLE.is_dir(), reason="the sample of real emails is not here (PARLEY_SAMPLE_DATA)")
@pytest.mark.parametrize(
    "name", ["android", "aol", "apple_mail", "gmail", "hotmail", "iphone", "outlook", "thunderbird", "yahoo"]
)
def test_replies_of_real_mail_clients(name: str) -> None:
    message = email.message_from_bytes((SAMPLE / f"{name}.eml").read_bytes(), policy=policy.default)
    body = message.get_body(("plain",))
    assert body is not None
    assert new_text(clean_text(body.get_content())) == "Hello"


HISTORY = {
    "en": "On Mon, Apr 2, 2012 at 6:26 PM, Ann One <a@example.com>\nwrote:\n> Hi\n> there",
    "de": "Am 02.04.2026 um 14:20 schrieb Ann One:\n> Hallo",
    "fr": "Le lun. 2 avr. 2026 à 14:20, Ann One a écrit :\n\n> Bonjour",
    "es": "El lun, 2 abr 2026 a las 14:20, Ann One escribió:\n> Hola",
    "it": "Il giorno lun 2 apr 2026 alle ore 14:20 Ann One ha scritto:\n> Ciao",
    "nl": "Op ma 2 apr. 2026 om 14:20 schreef Ann One:\n> Hallo",
    "pt": "Em seg., 2 de abr. de 2026 às 14:20, Ann One escreveu:\n> Olá",
    "ru": "02.04.2026 14:20, Ann One пишет:\n> Привет",
    "ja": "2026年4月2日(木) 14:20 Ann One <a@example.com>のメール:\n> こんにちは",
    "zh": "2026年4月2日 14:20，Ann One 写道：\n> 你好",
    "original message": "-----Original Message-----\nFrom: Ann\nHi",
    "outlook": "From: Ann One\nSent: Monday\nTo: Support\nSubject: Order\n\nHi",
    "outlook, German": "________________________________\nVon: Ann One\nGesendet: Montag\nAn: Hilfe\nBetreff: X\n\nHi",
    "no quote marks": "On 2 April 2026 at 14:20 Ann One <a@example.com> wrote:\nHi\nthere",
}


@pytest.mark.parametrize("form", HISTORY)
def test_history_goes(form: str) -> None:
    assert new_text(f"It broke again.\n\n{HISTORY[form]}") == "It broke again."


@pytest.mark.parametrize(
    "text",
    [
        "Hello,\n\nThanks, but I still want a refund for the kettle.\nIt is broken.",
        "Please cancel:\n- order 12\n- order 13\nand call me back",
        "On Monday your colleague wrote:\nwe will refund you\nand nothing came.",
        "From: the first day I had problems.\nIt never worked.",
        "To: whom it may concern\nI want my money back",
        "Regards to the team, and one question: when does it ship?",
        "Best\nprice?\nPlease tell me the best price for ten pieces, delivered to our office by Friday next week.",
        "Temperature was -- 5 degrees",
        "Cheers,\nAnn\nPS: please call before noon",
        "a\nb\n-- c\nd",
    ],
)
def test_own_words_stay(text: str) -> None:
    assert new_text(text) == text


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("It broke.\n\nKind regards,\nAnn One\nAcme Ltd\n+44 20 7946 0000", "It broke.\n\nKind regards,"),
        ("Es ist kaputt.\n\nMit freundlichen Grüßen\nAnn Eins", "Es ist kaputt.\n\nMit freundlichen Grüßen"),
        ("It broke.\n-- \nAnn One\nAcme", "It broke."),
        ("It broke.\n\nSent from my iPhone", "It broke."),
        ("Es ist kaputt.\nVon meinem iPhone gesendet", "Es ist kaputt."),
        ("Thanks", "Thanks"),
    ],
)
def test_signatures_go(text: str, kept: str) -> None:
    assert new_text(text) == kept


def test_answers_between_quoted_lines_stay() -> None:
    text = "On 2 May, Ann wrote:\n> Which size?\nLarge.\n> And colour?\nBlue, please."
    assert new_text(text) == "Large.\nBlue, please."


def test_a_message_of_history_alone_stays_whole() -> None:
    assert new_text("> Hi\n> there") == "> Hi\n> there"


@pytest.mark.parametrize(
    "line", ["On " + "a " * 500_000, "\n".join(["On a"] * 100_000), "From: x\n" * 100_000, "-" * 1_000_000]
)
def test_a_megabyte_takes_no_time_to_speak_of(line: str) -> None:
    """Backtracking over such lines would outlast this test's limit by far."""
    assert new_text(line)


@given(st.text(st.sampled_from("ab>:-\n OnFrmTwote@1."), max_size=200))
def test_what_is_kept_was_there_and_something_is_kept(text: str) -> None:
    text = clean_text(text)
    kept = new_text(text)
    assert bool(kept) == bool(text)
    lines = text.split("\n")
    assert all(line in lines or line.strip() in text for line in kept.split("\n"))
