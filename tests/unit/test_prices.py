"""Price lists and what a request costs: every token is billed once, at the price of what it was."""

import tomllib
from datetime import date
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.clock import utc_now
from domain.engine import EngineConfig, EngineFamily, Price, Usage
from domain.errors import EngineAnswerEmpty, EngineAnswerTruncated
from domain.ids import new_id
from services.engine_calls import answered, cost_usd, failed, usage_events
from services.prices import LIST, listed_price


def engine(price: Price) -> EngineConfig:
    return EngineConfig(
        id=new_id(), name="e", family=EngineFamily.LANGUAGE_MODEL, kind="anthropic", model="m", price=price
    )


PRICE = Price(
    input_per_million=3.0,
    cached_per_million=0.3,
    cache_write_per_million=3.75,
    output_per_million=15.0,
    audio_per_hour=0.36,
    version="list 1",
)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (Usage(input_tokens=1_000_000), 3.0),
        (Usage(input_tokens=1_000_000, cached_tokens=1_000_000), 0.3),
        (Usage(input_tokens=1_000_000, cache_write_tokens=1_000_000), 3.75),
        (Usage(input_tokens=1_000_000, cached_tokens=400_000, cache_write_tokens=400_000), 0.12 + 1.5 + 0.6),
        (Usage(output_tokens=1_000_000, thinking_tokens=600_000), 15.0),
        (Usage(audio_ms=3_600_000), 0.36),
        (Usage(), 0.0),
    ],
)
def test_what_a_request_costs(usage: Usage, expected: float) -> None:
    assert cost_usd(engine(PRICE), usage) == pytest.approx(expected)


def test_thinking_may_have_a_price_of_its_own() -> None:
    price = PRICE.model_copy(update={"thinking_per_million": 5.0})
    usage = Usage(output_tokens=1_000_000, thinking_tokens=600_000)
    assert cost_usd(engine(price), usage) == pytest.approx(0.4 * 15 + 0.6 * 5)


def test_without_a_price_for_writing_a_cache_it_costs_what_input_costs() -> None:
    price = PRICE.model_copy(update={"cache_write_per_million": None})
    assert cost_usd(engine(price), Usage(input_tokens=10, cache_write_tokens=10)) == pytest.approx(30e-6)


counts = st.integers(min_value=0, max_value=10**9)


@given(counts, counts, counts, counts, counts)
def test_a_token_is_billed_once_and_never_pays_back(
    plain: int, cached: int, written: int, said: int, thought: int
) -> None:
    one = Price(input_per_million=1, cached_per_million=1, cache_write_per_million=1, output_per_million=1)
    usage = Usage(
        input_tokens=plain + cached + written,
        cached_tokens=cached,
        cache_write_tokens=written,
        output_tokens=said + thought,
        thinking_tokens=thought,
    )
    total = plain + cached + written + said + thought
    assert cost_usd(engine(one), usage) == pytest.approx(total / 1_000_000)


@given(st.lists(counts, min_size=5, max_size=5))
def test_counts_that_contradict_each_other_give_no_negative_bill(given_counts: list[int]) -> None:
    names = ("input_tokens", "cached_tokens", "cache_write_tokens", "output_tokens", "thinking_tokens")
    assert cost_usd(engine(PRICE), Usage(**dict(zip(names, given_counts, strict=True)))) >= 0


def test_calls_and_events_say_by_which_list() -> None:
    config = engine(PRICE)
    usage = Usage(input_tokens=100, cache_write_tokens=10, output_tokens=5)
    call = answered(config, "hash", model="m", usage=usage, latency_ms=1, answer="{}")
    (event,) = usage_events(call, [None])
    assert call.price_version == event.price_version == "list 1"
    assert event.cost_usd == call.cost_usd > 0
    assert event.cache_write_tokens == 10


def test_an_answer_of_no_use_is_billed_all_the_same() -> None:
    config = engine(PRICE)
    cut = EngineAnswerTruncated("cut", usage=Usage(output_tokens=1000))
    call = failed(config, "hash", cut, latency_ms=1)
    assert call.cost_usd == pytest.approx(0.015)
    (event,) = usage_events(call, [None])
    assert event.output_tokens == 1000
    assert failed(config, "hash", EngineAnswerEmpty("nothing"), latency_ms=1).cost_usd == 0


@pytest.mark.parametrize(
    ("kind", "model", "listed"),
    [
        ("openai_compatible", "gpt-4o-mini", "gpt-4o-mini"),
        ("openai_compatible", "gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
        ("openai_compatible", "gpt-4o-2024-11-20", "gpt-4o"),
        ("anthropic", "claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("anthropic", "claude-sonnet-4-20250514", "claude-sonnet-4"),
        ("vertex", "gemini-2.5-flash", "gemini-2.5-flash"),
        ("gemini", "gemini-2.5-flash-lite", "gemini-2.5-flash-lite"),
        ("deepgram", "nova-3", "nova-3"),
        ("openai_compatible", "llama-3.1-8b", None),
        ("openai_compatible", "gpt-4oracle", None),
        ("offline", "gpt-4o", None),
    ],
)
def test_a_models_list_price(kind: str, model: str, listed: str | None) -> None:
    price = listed_price(kind, model)
    assert (price.version.split()[-1] if price else None) == listed


def test_every_list_says_where_it_is_from_and_of_which_day() -> None:
    lists = tomllib.loads((files("services") / LIST).read_text(encoding="utf-8"))["lists"]
    for one in lists:
        assert one["source"]
        assert date.fromisoformat(one["as_of"]) < utc_now().date()
        for entry in one["models"]:
            for kind in one["kinds"]:
                price = listed_price(kind, entry["model"])
                assert price is not None
                assert price.version == f"{one['name']} {one['as_of']} {entry['model']}"
                assert price.input_per_million + price.audio_per_hour > 0
                assert price.cached_per_million <= price.input_per_million
