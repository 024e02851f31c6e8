"""Spans, masks and the way back: for any text and any spans."""

from hypothesis import given
from hypothesis import strategies as st

from domain.turns import MaskKind
from engines.redaction.spans import Span, apply, resolve, restore

texts = st.text(st.one_of(st.characters(), st.sampled_from(" \n[]👩\u200d\u0301א4")), max_size=60)


@st.composite
def texts_with_spans(draw: st.DrawFn) -> tuple[str, list[Span]]:
    text = draw(texts)
    places = st.integers(0, len(text) + 2)
    kinds = st.sampled_from(MaskKind)
    spans = draw(st.lists(st.builds(Span, places, places, kinds), max_size=8))
    return text, spans


@given(texts_with_spans())
def test_there_is_always_a_way_back(given: tuple[str, list[Span]]) -> None:
    text, spans = given
    redacted, masks = apply(resolve(spans, text), text, 7)
    assert restore(redacted, masks) == text
    for mask in masks:
        assert mask.turn == 7
        assert redacted[mask.start : mask.end] == f"[{mask.kind.value}]"


@given(texts_with_spans())
def test_resolved_spans_are_apart_in_order_and_cover_everything(given: tuple[str, list[Span]]) -> None:
    text, spans = given
    resolved = resolve(spans, text)
    for span in resolved:
        assert 0 <= span.start < span.end <= len(text)
    for one, other in zip(resolved, resolved[1:], strict=False):  # noqa: RUF007
        assert one.end <= other.start
    covered = {place for span in resolved for place in range(span.start, span.end)}
    for span in spans:
        for place in range(span.start, min(span.end, len(text))):
            assert place in covered or text[place].isspace()
    assert resolve(resolved, text) == resolved


def test_of_overlapping_spans_the_longest_gives_the_kind() -> None:
    text = "write to rose.lane@example.com"
    spans = [Span(9, 18, MaskKind.NAME), Span(9, 30, MaskKind.EMAIL)]
    assert resolve(spans, text) == [Span(9, 30, MaskKind.EMAIL)]


def test_of_equal_spans_the_more_sensitive_gives_the_kind() -> None:
    spans = [Span(0, 4, MaskKind.CARD), Span(0, 4, MaskKind.ID_NUMBER)]
    assert resolve(spans, "4242") == [Span(0, 4, MaskKind.CARD)]


def test_a_kind_that_an_overlap_gave_joins_its_neighbour() -> None:
    spans = [Span(0, 1, MaskKind.PASSWORD), Span(1, 2, MaskKind.NAME), Span(1, 2, MaskKind.PASSWORD)]
    assert resolve(spans, "ab") == [Span(0, 2, MaskKind.PASSWORD)]


def test_parts_of_one_name_are_one_mask() -> None:
    spans = [Span(0, 3, MaskKind.NAME), Span(4, 7, MaskKind.NAME), Span(8, 12, MaskKind.PHONE)]
    assert resolve(spans, "Ann Lee 0142") == [Span(0, 7, MaskKind.NAME), Span(8, 12, MaskKind.PHONE)]
