"""Numbers, dates, yes/no and free texts that nobody has written rules for: only what is said outright."""

import re
from datetime import date

from domain.fields import CustomField, FieldType
from engines.language_models.offline.analysis import Analysis
from engines.language_models.offline.evidence import Ground, quotes
from engines.language_models.offline.found import Found, Question, known, unknown
from engines.language_models.offline.text import fold, words

_ISO_DATE = re.compile(r"\b(\d{4}-\d{2}-\d{2})\b")
_TOO_COMMON = frozenset(
    """
    the and for with what when which does did has have was are customer agent whether number date value this that
    their they
    """.split()  # noqa: SIM905 - a list of words is read more easily than a list of literals
)


def solve(analysis: Analysis, field: CustomField, question: Question) -> Found:
    """A number or an ISO date in a sentence that names the field; everything else is unknown."""
    names = {
        w for w in words(fold(f"{field.label} {field.key.replace('_', ' ')}")) if len(w) > 2 and w not in _TOO_COMMON
    }
    if field.type not in (FieldType.INTEGER, FieldType.DECIMAL, FieldType.DATE) or not names:
        return unknown("The offline engine has no rules for this field.")
    hits: dict[int | float | str, Ground] = {}
    for sentence in analysis.sentences:
        turn_role = sentence.role
        if not turn_role.may_be(question.evidence_role) or not names <= set(words(sentence.folded)):
            continue
        value = _read(sentence.folded, field)
        if value is not None:
            hits[value] = Ground.of(sentence)
    if len(hits) != 1:
        return unknown("The text does not state it, or states it in several ways.")
    value, ground = next(iter(hits.items()))
    return known(value, "Stated in so many words.", quotes(analysis, [ground], question.evidence_role), stated=True)


def _read(folded: str, field: CustomField) -> int | float | str | None:
    """The only value of the field's type in a sentence."""
    if field.type is FieldType.DATE:
        dates = _ISO_DATE.findall(folded)
        try:
            return date.fromisoformat(dates[0]).isoformat() if len(dates) == 1 else None
        except ValueError:
            return None
    numbers = re.findall(r"(?<![\w.,/-])-?\d{1,9}(?:[.,]\d{1,4})?(?![\w/-]|[.,]\d)", folded)
    if len(numbers) != 1:
        return None
    number = float(numbers[0].replace(",", "."))
    try:
        checked = field.check(int(number) if number.is_integer() else number)
    except ValueError:
        return None
    return checked if isinstance(checked, int | float) else None
