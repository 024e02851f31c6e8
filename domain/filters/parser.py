"""The text form's parser: recursive descent, one method a rule.

filter     = and_chain { "or" and_chain }
and_chain  = unary { "and" unary }
unary      = "not" unary | "(" filter ")" | predicate
predicate  = "sample" number "%"
           | name ( operator value
                  | ["not"] "in" "(" value { "," value } ")"
                  | "between" value "and" value
                  | ["not"] "exists"
                  | "is" ["not"] "unknown" )
operator   = "=" | "!=" | "<" | "<=" | ">" | ">="
value      = number | text | word | duration | time | ( "now" | "today" ) [ ("+" | "-") duration ]
"""

import re
from collections.abc import Callable
from typing import TypeVar

from domain.errors import InvalidFilter
from domain.filters.lexer import Kind, Token, tokens
from domain.filters.literals import BadLiteral, coerce, number
from domain.filters.rules import check_bounds, check_order, check_range, check_unknown, sample_ppm
from domain.filters.schema import META_PREFIX, FilterName, FilterSchema
from domain.filters.tree import (
    MAX_LENGTH,
    MAX_NESTING,
    MAX_TERMS,
    Among,
    Between,
    Comparison,
    Exists,
    Expression,
    IsUnknown,
    Literal,
    Not,
    Operator,
    Sample,
    conjunction,
    disjunction,
)
from domain.names import KEYWORDS, NameType

T = TypeVar("T")

_NOT_A_VALUE = frozenset({"and", "or", "not"})


def parse_expression(text: str, schema: FilterSchema) -> Expression:
    """The tree of a text. Raises InvalidFilter with the column and what to do about it."""
    if len(text) > MAX_LENGTH:
        raise InvalidFilter.at(MAX_LENGTH + 1, f"a filter has at most {MAX_LENGTH:,} characters")
    return _Parser(tokens(text), schema).whole()


class _Parser:
    def __init__(self, found: list[Token], schema: FilterSchema) -> None:
        self._tokens = found
        self._schema = schema
        self._position = 0
        self._depth = 0

    # -- tokens

    @property
    def _next(self) -> Token:
        return self._tokens[self._position]

    def _take(self) -> Token:
        token = self._next
        if token.kind is not Kind.END:
            self._position += 1
        return token

    def _word(self, word: str) -> bool:
        if self._next.is_word(word):
            self._position += 1
            return True
        return False

    def _symbol(self, symbol: str) -> bool:
        if self._next.kind is Kind.SYMBOL and self._next.text == symbol:
            self._position += 1
            return True
        return False

    def _expect(self, symbol: str, why: str) -> None:
        if not self._symbol(symbol):
            raise InvalidFilter.at(self._next.column, f"`{symbol}` is missing {why}")

    # -- rules

    def whole(self) -> Expression:
        if self._next.kind is Kind.END:
            raise InvalidFilter.at(1, "the filter is empty")
        expression = self._or_chain()
        rest = self._next
        if rest.kind is not Kind.END:
            raise InvalidFilter.at(rest.column, f"expected `and`, `or` or the end, not `{rest.text}`")
        check_bounds(expression)
        return expression

    def _or_chain(self) -> Expression:
        parts = [self._and_chain()]
        while self._word("or"):
            parts.append(self._and_chain())
        return disjunction(parts)

    def _and_chain(self) -> Expression:
        parts = [self._unary()]
        while self._word("and"):
            parts.append(self._unary())
        return conjunction(parts)

    def _unary(self) -> Expression:
        start = self._next
        if self._word("not"):
            return Not(self._nested(start, self._unary))
        if self._symbol("("):
            inner = self._nested(start, self._or_chain)
            self._expect(")", f"for the one opened in column {start.column}")
            return inner
        if self._word("sample"):
            return self._sample()
        return self._predicate()

    def _nested(self, start: Token, rule: Callable[[], Expression]) -> Expression:
        self._depth += 1
        if self._depth > MAX_NESTING:
            raise InvalidFilter.at(start.column, f"nested more than {MAX_NESTING} levels deep")
        expression = rule()
        self._depth -= 1
        return expression

    def _sample(self) -> Expression:
        token = self._take()
        if token.kind is not Kind.NUMBER:
            raise InvalidFilter.at(token.column, "sample takes a percentage; write for example sample 10%")
        self._expect("%", "after the percentage")
        return Sample(_fit(token, lambda: sample_ppm(number(token.text))))

    def _predicate(self) -> Expression:  # noqa: PLR0911 - one return an alternative
        token, name = self._name()
        following = self._next
        if following.kind is Kind.OPERATOR:
            self._take()
            operator = Operator(following.text)
            _fit(following, lambda: check_order(name, operator))
            value, at = self._value(name)
            _fit(at, lambda: check_range(name, operator, value))
            return Comparison(name.name, operator, value)
        if self._word("in"):
            return self._among(name, negated=False)
        if self._word("between"):
            return self._between(name, following)
        if self._word("exists"):
            return Exists(name.name)
        if self._word("is"):
            return self._is_unknown(name, token)
        if self._word("not"):
            if self._word("in"):
                return self._among(name, negated=True)
            if self._word("exists"):
                return Not(Exists(name.name))
            raise InvalidFilter.at(self._next.column, "after `not` comes `in` or `exists`")
        raise InvalidFilter.at(
            following.column, f"`{token.text}` needs a comparison: = != < <= > >=, in, between, exists or is unknown"
        )

    def _name(self) -> tuple[Token, FilterName]:
        token = self._take()
        if token.kind is not Kind.WORD or token.text.lower() in KEYWORDS:
            what = "the filter ends where" if token.kind is Kind.END else f"`{token.text}` stands where"
            raise InvalidFilter.at(token.column, f"{what} a name is expected")
        key = token.text
        found = self._schema.find(key)
        if found is None:
            raise InvalidFilter.at(token.column, self._schema.unknown(key))
        return token, found

    def _among(self, name: FilterName, *, negated: bool) -> Expression:
        self._expect("(", "after `in`")
        values = [self._value(name)[0]]
        while self._symbol(","):
            if len(values) == MAX_TERMS:
                raise InvalidFilter.at(self._next.column, f"more than {MAX_TERMS:,} values")
            values.append(self._value(name)[0])
        self._expect(")", "after the values of `in`")
        return Among(name.name, tuple(values), negated)

    def _between(self, name: FilterName, at: Token) -> Expression:
        _fit(at, lambda: check_order(name, Operator.AT_LEAST))
        low, first = self._value(name)
        _fit(first, lambda: check_range(name, Operator.AT_LEAST, low))
        if not self._word("and"):
            raise InvalidFilter.at(self._next.column, "`and` is missing between the two ends")
        high, second = self._value(name)
        _fit(second, lambda: check_range(name, Operator.AT_MOST, high))
        return Between(name.name, low, high)

    def _is_unknown(self, name: FilterName, at: Token) -> Expression:
        negated = self._word("not")
        if not self._word("unknown"):
            raise InvalidFilter.at(self._next.column, "after `is` comes `unknown`; for a value write `=`")
        _fit(at, lambda: check_unknown(name))
        expression = IsUnknown(name.name)
        return Not(expression) if negated else expression

    def _value(self, name: FilterName) -> tuple[Literal, Token]:
        token = self._take()
        match token.kind:
            case Kind.TEXT:
                return _fit(token, lambda: coerce(name, token.text, quoted=True)), token
            case Kind.NUMBER:
                return _fit(token, lambda: _number(name, token.text)), token
            case Kind.DURATION | Kind.TIME:
                return _fit(token, lambda: _time_or_duration(name, token)), token
            case Kind.WORD if token.text.lower() not in _NOT_A_VALUE:
                written = self._relative(token)
                return _fit(token, lambda: coerce(name, written, quoted=False)), token
            case _:
                what = "the filter ends where" if token.kind is Kind.END else f"`{token.text}` stands where"
                raise InvalidFilter.at(token.column, f"{what} a value is expected")

    def _relative(self, token: Token) -> str:
        """`now - 7d` is one value: the word and the distance that may follow it."""
        if token.text.lower() not in ("now", "today"):
            return token.text
        for sign in ("-", "+"):
            if self._symbol(sign):
                distance = self._take()
                if distance.kind is not Kind.DURATION:
                    raise InvalidFilter.at(distance.column, f"after `{token.text} {sign}` comes a duration such as 7d")
                return f"{token.text} {sign} {distance.text}"
        return token.text


def _number(name: FilterName, text: str) -> Literal:
    """A number, unless the name holds text: then its very digits, zeros in front included."""
    if name.name.type in (NameType.TEXT, NameType.OPTION):
        return coerce(name, text, quoted=False)
    if name.name.type is NameType.META and re.match(r"-?0\d", text):
        raise BadLiteral(f"a number has no zero in front; if this is a text, write '{text}'")
    return coerce(name, number(text), quoted=False)


def _time_or_duration(name: FilterName, token: Token) -> Literal:
    if name.name.key.startswith(META_PREFIX):
        raise BadLiteral("metadata holds text, numbers and true/false; put a text in quotes, or use a date field")
    return coerce(name, token.text, quoted=False)


def _fit(token: Token, make: Callable[[], T]) -> T:
    try:
        return make()
    except BadLiteral as bad:
        raise InvalidFilter.at(token.column, str(bad)) from None
