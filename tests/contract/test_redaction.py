"""What a redactor promises, for any conversation: the Protocol's suite."""

import socket
import threading
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.conversation import Role
from domain.turns import Mask, MaskKind, Turn
from engines.protocols import Redactor
from engines.redaction.redactor import PatternAndNameRedactor
from engines.redaction.spans import restore

REDACTORS = {"with names": PatternAndNameRedactor(), "patterns only": PatternAndNameRedactor({})}


@pytest.fixture(params=sorted(REDACTORS))
def redactor(request: pytest.FixtureRequest) -> Redactor:
    return REDACTORS[request.param]


fragments = st.one_of(
    st.sampled_from(
        [
            "What is your name?", "my card number is", "4242 4242 4242 4242", "jane@example.com", "+49 170 1234567",
            "four two four two", "double", "ending in", "Hector", "Ms. Quintero", "[name]", "👩\u200d👧", "שלום",
            "4471", "PIN",
            "12/11/2026", "at", "dot com", "\n", ".", "ß", "İ", "ﬁ", "１２３４", "٤٢٤٢",
        ]
    ),
    st.text(max_size=12),
)  # fmt: skip
speakers = st.sampled_from([Role.AGENT, Role.CUSTOMER, Role.UNKNOWN])
said = st.lists(st.tuples(speakers, st.lists(fragments, max_size=6).map(" ".join)), max_size=8)
languages = st.sampled_from(["en", "de", "zh-CN", None])


def conversation(said: Sequence[tuple[Role, str]]) -> list[Turn]:
    return [
        Turn(number=n, role=role, participant_id=role.value, text=text) for n, (role, text) in enumerate(said, start=1)
    ]


def of_turn(masks: Sequence[Mask], number: int) -> list[Mask]:
    return [mask for mask in masks if mask.turn == number]


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(said=said, language=languages, names=st.lists(st.text(max_size=10), max_size=3))
def test_redacted_text_and_masks_give_the_original(
    redactor: Redactor, said: list[tuple[Role, str]], language: str | None, names: list[str]
) -> None:
    turns = conversation(said)
    seen: list[float] = []
    result = redactor.redact(turns, language=language, names=names, progress=seen.append)
    assert len(result.turns) == len(turns)
    for before, after in zip(turns, result.turns, strict=True):
        masks = of_turn(result.masks, before.number)
        assert restore(after.text, masks) == before.text
        assert after == before.model_copy(update={"text": after.text})
        for mask in masks:
            assert after.text[mask.start : mask.end] == f"[{mask.kind.value}]"
        assert masks == sorted(masks, key=lambda mask: mask.start)
    assert result.redactor == redactor.version
    assert all(0 <= share <= 1 for share in seen)
    assert seen == sorted(seen)
    assert seen[-1] == 1


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    before=st.text(st.sampled_from("abc ,.\n"), max_size=20),
    after=st.text(st.sampled_from("abc ,.\n"), max_size=20),
    secret=st.sampled_from(["4242 4242 4242 4242", "jane.doe@example.com", "123-45-6789", "+44 7700 900123"]),
    language=languages,
)
def test_what_has_a_form_of_its_own_never_survives(
    redactor: Redactor, before: str, after: str, secret: str, language: str | None
) -> None:
    turns = conversation([(Role.CUSTOMER, f"{before} {secret} {after}")])
    result = redactor.redact(turns, language=language, names=(), progress=lambda share: None)
    assert secret not in result.turns[0].text


def test_the_same_again_gives_the_same(redactor: Redactor) -> None:
    turns = conversation([(Role.AGENT, "Your name?"), (Role.CUSTOMER, "Hector, 4242 4242 4242 4242")])
    first, second = (
        redactor.redact(turns, language="en", names=("Ann",), progress=lambda share: None) for _ in range(2)
    )
    assert first == second


def test_names_of_participants_are_masked_in_every_language(redactor: Redactor) -> None:
    turns = conversation([(Role.AGENT, "Danke, Frau Wójcik-Öztürk"), (Role.CUSTOMER, "wójcik-öztürk hier")])
    result = redactor.redact(turns, language="de", names=("Anna Wójcik-Öztürk",), progress=lambda share: None)
    assert [turn.text for turn in result.turns] == ["Danke, Frau [name]", "[name] hier"]


def test_threads_share_one(redactor: Redactor) -> None:
    turns = conversation([(Role.CUSTOMER, f"I met Hector Quintero at {n} with 4242 4242 4242 4242") for n in range(20)])
    expected = redactor.redact(turns, language="en", names=(), progress=lambda share: None)
    wrong: list[str] = []

    def run() -> None:
        for _ in range(5):
            if redactor.redact(turns, language="en", names=(), progress=lambda share: None) != expected:
                wrong.append("differs")

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert wrong == []


def test_nothing_is_asked_of_the_network(redactor: Redactor, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the redactor went to the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    text = "write to jane@some-odd-domain.museum or https://example.co.uk/x, DE89 3704 0044 0532 0130 00"
    result = redactor.redact(
        conversation([(Role.CUSTOMER, text)]), language="en", names=(), progress=lambda share: None
    )
    assert {mask.kind for mask in result.masks} == {MaskKind.EMAIL, MaskKind.ACCOUNT}
