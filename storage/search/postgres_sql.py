# ruff: noqa: S608 - the text is of fixed pieces; every value is a parameter
"""A search as one SQL statement. The text is put together from the fixed pieces here; every value, names of fields
included, is a parameter.
"""

from dataclasses import dataclass, field

from domain.filters.conditions import (
    All,
    AnyOf,
    Condition,
    HasNumber,
    HasText,
    Holding,
    InRange,
    IsFlag,
    Negated,
    Present,
    Unknown,
    conditions,
)
from domain.search import MAX_FACET_VALUES, Direction, FacetRequest, PageKey, SearchQuery, Sort
from storage.search import vectors

_COLUMNS = {Holding.TEXT: "d.texts", Holding.NUMBER: "d.numbers", Holding.FLAG: "d.flags"}


@dataclass
class Statement:
    """SQL and its parameters, `$1` first."""

    sql: str = ""
    arguments: list[object] = field(default_factory=list)

    def add(self, value: object) -> str:
        """The placeholder of one more parameter."""
        self.arguments.append(value)
        return f"${len(self.arguments)}"


def page_statement(query: SearchQuery) -> Statement:
    """Rows of one page and one more: conversation_id, revision, partial, started_ms, score, value."""
    statement = Statement()
    matched = _matched(statement, query)
    order = query.order
    if order is None:
        ordering = "score desc, started_ms desc, conversation_id"
    elif order.key == "started":
        ordering = f"started_ms {order.direction.value}, conversation_id"
    else:
        ordering = f"value {order.direction.value} nulls last, conversation_id"
    behind = "" if query.after is None else f"where {_behind(statement, order, query.after)}"
    statement.sql = f"""
with matched as (
{matched}
)
select conversation_id, revision, partial, started_ms, score, value
from matched
{behind}
order by {ordering}
limit {statement.add(query.limit + 1)}"""
    return statement


def counts_statement(query: SearchQuery) -> Statement:
    """Rows (facet: number in the request or -1 for the total, text, number, flag, label, found)."""
    statement = Statement()
    matched = _matched(statement, query, "d.texts, d.numbers, d.flags")
    counted = [
        _facet(statement, number, holding, facet)
        for number, facet in enumerate(query.facets)
        for holding in facet.holdings
    ]
    total = """
select -1 as facet, null::text as label, null::double precision as number, null::boolean as flag, count(*) as found
from matched"""
    statement.sql = f"""
with matched as materialized (
{matched}
)
{" union all ".join([total, *counted])}"""
    return statement


# -- what matches -------------------------------------------------------------------------------------------


def _matched(statement: Statement, query: SearchQuery, columns: str | None = None) -> str:
    wheres = [f"d.tenant_id = {statement.add(query.tenant_id)}"]
    joined = ""
    if query.words:
        wanted = [vectors.all_words(query.words.terms), vectors.no_words(query.words.without)]
        if lexemes := " & ".join(part for part in wanted if part):
            joined = f"join search_match({statement.add(lexemes)}::text::tsquery) using (conversation_id)"
        wheres += [_has_phrase(statement, vectors.phrase(term)) for term in query.words.terms if term.is_phrase]
        wheres += [
            f"not {_has_phrase(statement, vectors.phrase(term))}" for term in query.words.without if term.is_phrase
        ]
    if query.where is not None:
        wheres.append(_condition(statement, conditions(query.where)))
    if columns is None:
        columns = f"""conversation_id, d.revision, d.partial, d.started_ms,
  {_score(statement, query)} as score,
  {_value(statement, query.order)} as value"""
    return f"""select {columns}
from search_document d
{joined}
where {" and ".join(wheres)}"""


def _has_phrase(statement: Statement, phrase: str) -> str:
    return f"exists (select from unnest(d.words) part where part @@ {statement.add(phrase)}::text::tsquery)"


def _score(statement: Statement, query: SearchQuery) -> str:
    """Cover density of the terms together, four times, and of each alone; long parts count less (`1`).

    https://www.postgresql.org/docs/current/textsearch-controls.html#TEXTSEARCH-RANKING
    """
    if query.order is not None:
        return "0::double precision"
    together = statement.add(vectors.all_terms(query.words.terms))
    alone = statement.add(vectors.any_term(query.words.terms))
    return f"""(
    select coalesce(sum(
      4 * ts_rank_cd(part, {together}::text::tsquery, 1)::double precision
      + ts_rank_cd(part, {alone}::text::tsquery, 1)::double precision
    ), 0)
    from unnest(d.words) part
  )"""


def _value(statement: Statement, order: Sort | None) -> str:
    if order is None or order.key == "started":
        return "null::double precision"
    return f"(d.numbers ->> {statement.add(order.key)})::double precision"


def _behind(statement: Statement, order: Sort | None, after: PageKey) -> str:
    """Rows behind the last one of the page before."""
    identity = f"conversation_id > {statement.add(after.id)}::uuid"
    if order is None:
        score, started = statement.add(after.score), statement.add(after.started_ms)
        score, started = f"{score}::double precision", f"{started}::bigint"
        return f"""(
  score < {score}
  or (score = {score} and started_ms < {started})
  or (score = {score} and started_ms = {started} and {identity})
)"""
    beyond = ">" if order.direction is Direction.ASCENDING else "<"
    if order.key == "started":
        started = f"{statement.add(after.started_ms)}::bigint"
        return f"(started_ms {beyond} {started} or (started_ms = {started} and {identity}))"
    if after.value is None:
        return f"(value is null and {identity})"
    value = f"{statement.add(after.value)}::double precision"
    return f"(value {beyond} {value} or (value = {value} and {identity}) or value is null)"


# -- filters ------------------------------------------------------------------------------------------------


def _condition(statement: Statement, condition: Condition) -> str:
    match condition:
        case All(()):
            return "true"
        case AnyOf(()):
            return "false"
        case All(parts):
            return "(" + " and ".join(_condition(statement, part) for part in parts) + ")"
        case AnyOf(parts):
            return "(" + " or ".join(_condition(statement, part) for part in parts) + ")"
        case Negated(inner):
            return f"not {_condition(statement, inner)}"
        case _:
            # A name without a value gives null: here that is plainly false, so that its negation is true.
            return f"coalesce({_single(statement, condition)}, false)"


def _single(statement: Statement, condition: HasText | HasNumber | InRange | IsFlag | Present | Unknown) -> str:
    key = f"{statement.add(condition.key)}::text"
    match condition:
        case HasText(_, tokens):
            return f"(d.texts -> {key}) ?| {statement.add(list(tokens))}::text[]"
        case HasNumber(_, numbers):
            return f"(d.numbers ->> {key})::double precision = any({statement.add(list(numbers))}::double precision[])"
        case InRange(_, low, high, low_included, high_included):
            number = f"(d.numbers ->> {key})::double precision"
            ends = [f"{number} is not null"]
            if low is not None:
                ends.append(f"{number} {'>=' if low_included else '>'} {statement.add(low)}::double precision")
            if high is not None:
                ends.append(f"{number} {'<=' if high_included else '<'} {statement.add(high)}::double precision")
            return "(" + " and ".join(ends) + ")"
        case IsFlag(_, value):
            return f"(d.flags ->> {key})::boolean = {statement.add(value)}::boolean"
        case Present(_, holdings):
            return "(" + " or ".join(f"{_COLUMNS[holding]} ? {key}" for holding in holdings) + ")"
        case Unknown():
            return f"{key} = any(d.unknown)"


# -- facets -------------------------------------------------------------------------------------------------


def _facet(statement: Statement, number: int, holding: Holding, facet: FacetRequest) -> str:
    key = f"{statement.add(facet.key)}::text"
    if holding is Holding.TEXT:
        source = f"matched d cross join lateral jsonb_each_text(d.texts -> {key}) as t (token, label)"
        columns, group, where = "min(t.label), null, null", "t.token", "t.label is not null"
    elif holding is Holding.NUMBER:
        source = "matched d"
        columns, group = f"null, (d.numbers ->> {key})::double precision, null", "3"
        where = f"d.numbers ? {key}"
    else:
        source = "matched d"
        columns, group = f"null, null, (d.flags ->> {key})::boolean", "4"
        where = f"d.flags ? {key}"
    return f"""(
select {number} as facet, {columns}, count(*) as found
from {source}
where {where}
group by {group}
order by found desc, {group}
limit {MAX_FACET_VALUES}
)"""
