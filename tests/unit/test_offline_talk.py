"""Short conversations of many trades, and how often the offline engine's judgement is one a reader would accept.

Written while its rules were widened, so they are no measure of what it does with unseen ones (that is
`bench/held_out`): they keep what was learned. Each names the acceptable answers; "unknown" is one of them only
where it is listed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.offline import conversation, values

TALK: list[dict[str, Any]] = json.loads(Path(__file__).with_name("offline_talk.json").read_text(encoding="utf-8"))
LEAST = {"csat": 0.9, "sentiment": 0.92, "contact_reason": 0.92, "churn_risk": 0.95}


@pytest.fixture(scope="module")
def answered() -> list[dict[str, object]]:
    return [
        {
            key: value.value
            for key, value in values(conversation(*one["lines"]), *LEAST, language=one["language"]).items()
        }
        for one in TALK
    ]


def accepted(field: str, expected: Any, got: object) -> bool:
    if field == "csat":
        return got is None if expected is None else isinstance(got, int) and expected[0] <= got <= expected[1]
    return ("unknown" if got is None else got) in expected


@pytest.mark.parametrize("field", LEAST)
def test_most_judgements_are_acceptable(field: str, answered: list[dict[str, object]]) -> None:
    wrong = [
        (one["lines"][0][:60], one[field], got[field])
        for one, got in zip(TALK, answered, strict=True)
        if not accepted(field, one[field], got[field])
    ]
    assert 1 - len(wrong) / len(TALK) >= LEAST[field], wrong


def test_nobody_who_is_content_is_called_angry(answered: list[dict[str, object]]) -> None:
    content = [got for one, got in zip(TALK, answered, strict=True) if one["sentiment"] == ["positive"]]
    assert len(content) >= 8
    assert not [got for got in content if got["sentiment"] == "negative" or got["csat"] in (1, 2)]


def test_nobody_who_is_angry_is_called_content(answered: list[dict[str, object]]) -> None:
    angry = [got for one, got in zip(TALK, answered, strict=True) if one["sentiment"] == ["negative"]]
    assert len(angry) >= 10
    assert not [got for got in angry if got["sentiment"] == "positive" or got["csat"] in (4, 5)]
