"""Generated filters and facts over one small schema, and a second, naive reading of the language to compare with."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from domain.fields import CustomField, FieldType, Option
from domain.filters.facts import FilterFacts, day_number, fold, instant_ms, sample_bucket
from domain.filters.schema import FilterSchema
from domain.filters.tree import (
    Among,
    And,
    Base,
    Between,
    Comparison,
    Day,
    Duration,
    Exists,
    Expression,
    IsUnknown,
    Literal,
    Moment,
    Name,
    Not,
    Operator,
    Or,
    Relative,
    Sample,
    conjunction,
    disjunction,
)
from domain.ids import derived_id
from domain.names import NameType

NOW = datetime(2026, 11, 12, 9, 30, tzinfo=UTC)
ZONE = "Europe/Berlin"


def field(key: str, type_: FieldType, *, options: tuple[str, ...] = (), sensitive: bool = False) -> CustomField:
    return CustomField(
        id=derived_id("test-field", key),
        key=key,
        type=type_,
        label=key.title(),
        options=tuple(Option(id=option, label=option.replace("_", " ").title()) for option in options),
        sensitive=sensitive,
    )


FIELDS = (
    field("csat", FieldType.INTEGER),
    field("score", FieldType.DECIMAL),
    field("sentiment", FieldType.CHOICE, options=("positive", "negative", "mixed", "unknown")),
    field("topics", FieldType.MULTI_CHOICE, options=("billing", "delivery", "refund_request")),
    field("escalated", FieldType.BOOLEAN),
    field("renewal", FieldType.DATE),
    field("summary", FieldType.TEXT),
    field("diagnosis", FieldType.TEXT, sensitive=True),
)
SCHEMA = FilterSchema.of(FIELDS)

TEXTS = (
    "vip",
    "VIP",
    "gold",
    "Grün",
    "grun",
    "second line",
    "it's \\ odd",
    "' or tenant_id != 'x",
    "ﬁne ",
    "5",
    "true",
)
HOSTILE = st.text(min_size=1, max_size=12).filter(lambda s: bool(fold(s)) and "\x00" not in s)
WORDS = st.sampled_from(TEXTS) | HOSTILE | st.just("long " * 60)
NUMBERS = st.integers(-3, 6) | st.sampled_from([0.5, 2.25, -1.5, 1e17, 5e-324])
DAYS = st.integers(0, 40).map(lambda n: date(2026, 10, 20) + timedelta(days=n))
MOMENTS = st.integers(0, 40 * 24 * 4).map(lambda n: datetime(2026, 10, 20, tzinfo=UTC) + timedelta(minutes=15 * n))
RELATIVES = st.one_of(
    st.integers(-20, 20).map(lambda n: Relative(Base.TODAY, n * 86_400_000)),
    st.integers(-400, 400).map(lambda n: Relative(Base.NOW, n * 3_600_000 + 1)),
)
ORDERS = st.sampled_from([Operator.LESS, Operator.AT_MOST, Operator.GREATER, Operator.AT_LEAST])
EQUALITIES = st.sampled_from([Operator.EQUAL, Operator.NOT_EQUAL])

TEXT_NAMES = ("queue", "tag", "agent", "summary", "language")
NAMES = (
    *TEXT_NAMES,
    *("channel", "status", "sentiment", "topics"),
    *("csat", "score", "turns", "duration", "started", "ended", "renewal", "escalated", "searchable"),
    *("meta.plan", "meta.Level"),
)


def name_of(key: str) -> Name:
    found = SCHEMA.find(key)
    assert found is not None, key
    return found.name


def literals(name: Name) -> st.SearchStrategy[Literal]:
    """Canonical literals of the name's type."""
    found = SCHEMA.find(name.key)
    assert found is not None
    match name.type:
        case NameType.TEXT:
            return WORDS
        case NameType.OPTION:
            return st.sampled_from(found.option_ids)
        case NameType.NUMBER:
            return NUMBERS
        case NameType.DURATION:
            return st.integers(0, 200_000).map(Duration)
        case NameType.INSTANT:
            naive = MOMENTS.map(lambda at: Moment(at.replace(tzinfo=None)))
            return st.one_of(DAYS.map(Day), MOMENTS.map(Moment), naive, RELATIVES)
        case NameType.DAY:
            return st.one_of(DAYS.map(Day), RELATIVES.filter(lambda r: r.base is Base.TODAY))
        case NameType.FLAG:
            return st.booleans()
        case NameType.META:
            return st.one_of(WORDS, NUMBERS, st.booleans())


def _ordered_literals(name: Name) -> st.SearchStrategy[Literal]:
    return NUMBERS if name.type is NameType.META else literals(name)


def _predicate(key: str) -> st.SearchStrategy[Expression]:
    name = name_of(key)
    found = SCHEMA.find(key)
    assert found is not None
    kinds: list[st.SearchStrategy[Expression]] = [
        st.builds(Comparison, st.just(name), EQUALITIES, literals(name)),
        st.builds(Among, st.just(name), st.lists(literals(name), min_size=1, max_size=4).map(tuple), st.booleans()),
        st.just(Exists(name)),
    ]
    if name.type in (NameType.NUMBER, NameType.DURATION, NameType.INSTANT, NameType.DAY, NameType.META):
        ordered = _ordered_literals(name)
        kinds.append(st.builds(Comparison, st.just(name), ORDERS, ordered))
        kinds.append(st.builds(Between, st.just(name), ordered, ordered))
    if found.is_field:
        kinds.append(st.just(IsUnknown(name)))
    return st.one_of(kinds)


PREDICATES: st.SearchStrategy[Expression] = st.one_of(
    st.sampled_from(NAMES).flatmap(_predicate), st.integers(1, 1_000_000).map(Sample)
)
EXPRESSIONS: st.SearchStrategy[Expression] = st.recursive(
    PREDICATES,
    lambda inner: st.one_of(
        inner.map(Not),
        st.lists(inner, min_size=2, max_size=3).map(conjunction),
        st.lists(inner, min_size=2, max_size=3).map(disjunction),
    ),
    max_leaves=6,
)


@st.composite
def facts(draw: st.DrawFn) -> FilterFacts:
    """Facts with many gaps, their values from the same small pools as the filters'."""
    texts: dict[str, tuple[str, ...]] = {}
    for key in TEXT_NAMES:
        values = draw(st.lists(WORDS, max_size=3 if key in ("tag", "agent") else 1, unique_by=fold))
        if values:
            texts[key] = tuple(values)
    for key, many in (("channel", 1), ("status", 1), ("sentiment", 1), ("topics", 3)):
        found = SCHEMA.find(key)
        assert found is not None
        chosen = draw(st.lists(st.sampled_from(found.option_ids), max_size=many, unique=True))
        if chosen:
            texts[key] = tuple(chosen)
    numbers: dict[str, float] = {}
    for key, values_of in (
        ("csat", NUMBERS),
        ("score", NUMBERS),
        ("turns", NUMBERS),
        ("duration", st.integers(0, 200_000).map(lambda ms: ms / 1000)),
        ("started", MOMENTS.map(instant_ms)),
        ("ended", MOMENTS.map(instant_ms)),
        ("renewal", DAYS.map(day_number)),
    ):
        if draw(st.booleans()):
            numbers[key] = float(draw(values_of))
    flags = {key: draw(st.booleans()) for key in ("escalated", "searchable") if draw(st.booleans())}
    for key in ("meta.plan", "meta.Level"):
        match draw(st.sampled_from(["none", "text", "number", "flag"])):
            case "text":
                texts[key] = (draw(WORDS),)
            case "number":
                numbers[key] = float(draw(NUMBERS))
            case "flag":
                flags[key] = draw(st.booleans())
    identity = str(draw(st.uuids()))
    numbers["sample"] = sample_bucket(identity)
    present = {*texts, *numbers, *flags}
    unknown = draw(st.sets(st.sampled_from([f.key for f in FIELDS if not f.sensitive]))) - present
    return FilterFacts(id=identity, texts=texts, numbers=numbers, flags=flags, unknown=frozenset(unknown))


# -- a second reading of the language, by the words of docs/filters.md --------------------------------------


def naive(expression: Expression, of: FilterFacts) -> bool:
    """What the filter says, straight from the tree, without lowering."""
    match expression:
        case And(parts):
            return all(naive(part, of) for part in parts)
        case Or(parts):
            return any(naive(part, of) for part in parts)
        case Not(part):
            return not naive(part, of)
        case Sample(ppm):
            return sample_bucket(of.id) < ppm
        case Exists(name):
            return bool(_values(name, of))
        case IsUnknown(name):
            return name.key in of.unknown
        case Among(name, values, negated):
            held = _values(name, of)
            found = any(_equal(name, one, value) for one in held for value in values)
            return bool(held) and not found if negated else found
        case Between(name, low, high):
            return naive(And((Comparison(name, Operator.AT_LEAST, low), Comparison(name, Operator.AT_MOST, high))), of)
        case Comparison(name, Operator.EQUAL, value):
            return naive(Among(name, (value,)), of)
        case Comparison(name, Operator.NOT_EQUAL, value):
            return naive(Among(name, (value,), negated=True), of)
        case Comparison(name, operator, value):
            return any(_ordered(name, operator, one, value) for one in _values(name, of))


def _values(name: Name, of: FilterFacts) -> list[str | float | bool]:
    held: list[str | float | bool] = [*of.texts.get(name.key, ())]
    held += [of.numbers[name.key]] if name.key in of.numbers else []
    held += [of.flags[name.key]] if name.key in of.flags else []
    return held


def _local(at: datetime) -> datetime:
    return at if at.tzinfo else at.replace(tzinfo=ZoneInfo(ZONE))


def _day_of(name: Name, value: Literal) -> date | None:
    if isinstance(value, Day):
        return value.date
    if isinstance(value, Relative) and value.base is Base.TODAY:
        return NOW.astimezone(ZoneInfo(ZONE)).date() + timedelta(milliseconds=value.offset_ms)
    return None


def _point(value: Literal) -> float:
    match value:
        case Duration(ms):
            return ms / 1000
        case Moment(at):
            return instant_ms(_local(at))
        case Relative(_, offset):
            return instant_ms(NOW) + offset
        case int() | float():
            return value
        case _:
            raise AssertionError(value)


def _equal(name: Name, held: str | float | bool, value: Literal) -> bool:
    if isinstance(value, bool) or isinstance(held, bool):
        meta_text = name.type is NameType.META and isinstance(held, str) and isinstance(value, bool)
        return fold(str(held)) == str(value).lower() if meta_text else held is value
    if isinstance(value, str):
        return isinstance(held, str) and fold(held) == fold(value)
    if isinstance(held, str):
        return name.type is NameType.META and fold(held) == fold(str(value))
    if (day := _day_of(name, value)) is not None:
        return held == day_number(day) if name.type is NameType.DAY else _on_day(held, day)
    return held == _point(value)


def _on_day(held: float, day: date) -> bool:
    at = datetime.fromtimestamp(held / 1000, UTC).astimezone(ZoneInfo(ZONE))
    return at.date() == day


def _ordered(name: Name, operator: Operator, held: str | float | bool, value: Literal) -> bool:
    if isinstance(held, str | bool):
        return False
    if (day := _day_of(name, value)) is not None:
        if name.type is NameType.DAY:
            mine, other = held, float(day_number(day))
        else:
            at = datetime.fromtimestamp(held / 1000, UTC).astimezone(ZoneInfo(ZONE))
            mine, other = float(day_number(at.date())), float(day_number(day))
    else:
        mine, other = held, _point(value)
    return {
        Operator.LESS: mine < other,
        Operator.AT_MOST: mine <= other,
        Operator.GREATER: mine > other,
        Operator.AT_LEAST: mine >= other,
    }[operator]
