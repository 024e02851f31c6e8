"""The redactor on conversations of a few lines: what is masked as what, and what stays."""

import re
import time

import pytest

from domain.conversation import Role
from domain.turns import MaskKind, Redaction, Turn
from engines.redaction.redactor import PatternAndNameRedactor
from engines.redaction.spans import restore
from tests.unit.redaction_cases import CASES, Case

_SPEAKER = re.compile(r"(?:^|\n)(?=(?:agent|customer): )")


@pytest.fixture(scope="module")
def redactor() -> PatternAndNameRedactor:
    return PatternAndNameRedactor()


def conversation(said: str) -> list[Turn]:
    turns: list[Turn] = []
    for line in filter(None, _SPEAKER.split(said)):
        speaker, text = line.split(": ", 1)
        turns.append(Turn(number=len(turns) + 1, role=Role(speaker), participant_id=speaker, text=text))
    return turns


def redact(
    redactor: PatternAndNameRedactor,
    turns: list[Turn],
    language: str | None = "en",
    names: tuple[str, ...] = (),
) -> Redaction:
    return redactor.redact(turns, language=language, names=names, progress=lambda share: None)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(redactor: PatternAndNameRedactor, case: Case) -> None:
    turns = conversation(case.said)
    result = redact(redactor, turns, case.language, case.names)
    assert "\n".join(f"{turn.role.value}: {turn.text}" for turn in result.turns) == case.redacted
    for turn, original in zip(result.turns, turns, strict=True):
        assert restore(turn.text, [mask for mask in result.masks if mask.turn == turn.number]) == original.text


def test_where_speakers_are_not_told_apart_a_question_is_answered_too(redactor: PatternAndNameRedactor) -> None:
    lines = ("Can I have your name please?", "crystal minh", "And the last four of your card?", "4471")
    turns = [
        Turn(number=n, role=Role.UNKNOWN, participant_id="mixed", text=text) for n, text in enumerate(lines, start=1)
    ]
    result = redact(redactor, turns)
    assert [turn.text for turn in result.turns] == [lines[0], "[name]", lines[2], "[card]"]


def test_a_turns_own_language_goes_before_the_conversations(redactor: PatternAndNameRedactor) -> None:
    turns = [
        Turn(number=1, role=Role.AGENT, participant_id="a", text="Guten Tag", language="de"),
        Turn(number=2, role=Role.CUSTOMER, participant_id="c", text="My friend Hector called", language="en-GB"),
    ]
    result = redact(redactor, turns, "de")
    assert result.turns[1].text == "My friend [name] called"
    assert result.detectors == ("patterns", "names:en")
    assert result.names_detected is False


@pytest.mark.parametrize(("language", "detected"), [("en", True), ("en-US", True), ("de", False), (None, False)])
def test_it_says_whether_names_were_detected(
    redactor: PatternAndNameRedactor, language: str | None, detected: bool
) -> None:
    result = redact(redactor, conversation("customer: ok"), language)
    assert result.names_detected is detected
    assert ("names:en" in result.detectors) is detected


def test_no_turns_at_all(redactor: PatternAndNameRedactor) -> None:
    result = redact(redactor, [])
    assert (result.turns, result.masks) == ((), ())


@pytest.mark.parametrize(
    "text",
    [
        "👩‍👧‍👦 call +49 170 1234567 👍🏽",
        "אנא התקשרו +972 50 123 4567 תודה",
        "البطاقة 4242 4242 4242 4242 شكرا",
        "बुलाओ jane@example.com धन्यवाद",
        "cafe\u0301 4242424242424242 \U0001f3f4",
    ],
    ids=["emoji", "Hebrew", "Arabic", "Hindi", "marks"],
)
def test_offsets_hold_in_any_script(redactor: PatternAndNameRedactor, text: str) -> None:
    turns = [Turn(number=1, role=Role.CUSTOMER, participant_id="c", text=text)]
    result = redact(redactor, turns, None)
    (mask,) = result.masks
    shown = result.turns[0].text
    assert shown[mask.start : mask.end] == f"[{mask.kind.value}]"
    assert shown[: mask.start] + mask.original + shown[mask.end :] == text


def test_a_megabyte_in_one_message(redactor: PatternAndNameRedactor) -> None:
    text = "the parcel did not come again today. " * 28_000 + "my card is 4242 4242 4242 4242."
    turns = [Turn(number=1, role=Role.CUSTOMER, participant_id="c", text=text)]
    result = redact(redactor, turns)
    assert [mask.kind for mask in result.masks] == [MaskKind.CARD]
    assert result.turns[0].text.endswith("my card is [card].")


@pytest.mark.parametrize(
    "unit", ["a", "1", "1 ", "a-", "@", "one ", "x.", "my name is ", "A B ", "at dot ", "12, ", "("]
)
def test_text_made_to_be_slow(redactor: PatternAndNameRedactor, unit: str) -> None:
    """Backtracking over 100,000 characters of one thing would outlast this test's limit."""
    turns = [Turn(number=1, role=Role.CUSTOMER, participant_id="c", text=unit * (100_000 // len(unit)))]
    redact(redactor, turns, None)


def test_a_long_conversation_costs_in_proportion(redactor: PatternAndNameRedactor) -> None:
    def seconds(count: int) -> float:
        turns = [
            Turn(number=n, role=role, participant_id=role.value, text=f"and my order {n} has not come, {role.value}")
            for n in range(1, count + 1)
            for role in ((Role.AGENT, Role.CUSTOMER)[n % 2],)
        ]
        start = time.process_time()
        redact(redactor, turns)
        return time.process_time() - start

    seconds(50)
    small, large = min(seconds(250) for _ in range(2)), seconds(5000)
    assert large < small * 20 * 5, "twenty times the turns may not cost a hundred times the time"
