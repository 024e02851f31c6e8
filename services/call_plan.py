"""In which calls the tasks of one conversation are asked, so that its transcript is paid for about once.

Pure: sizes in, calls out; the same input gives the same calls, whatever order it comes in.

- **Fused**: tasks that may be, of one owner level and one sensitivity class, on a transcript that is short, are asked
  in one call with one schema. The transcript goes once.
- **Sharing a prefix**: what is left goes in calls that begin byte for byte the same: system text, the union of their
  schemas, the turns; each task's own words last. The first call goes alone and warms the provider's cache, the others
  read the prefix from it. Some providers put the schema before the messages, hence the union.
- **Apart**: where no cache holds (too short, none there) or the union would cost more than it saves.

The plan never costs more input than one call a task, counting what a cache takes and gives as below.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from domain.fields import Owner

CACHED_READ = 0.1
CACHE_WRITE = 1.25
"""What a token costs that is read from a prefix cache, or written to one, against a plain input token."""


@dataclass(frozen=True)
class CallShape:
    """Thresholds, in tokens as `domain.tokens` estimates them. Why these: docs/adr/0100.

    fuse_up_to_tokens: transcripts up to this long are asked in fused calls. output_tokens: what one answer may hold at
    most, all tasks of a call together. schema_fields: fields in one schema at most. cache_from_tokens: shortest prefix
    a provider caches. context_tokens: what the engine reads at most. prefix_cache: whether it has such a cache; None:
    external engines have one. max_windows: a conversation that needs more windows is too long.

    An engine's parameters of the same names go before these.
    """

    fuse_up_to_tokens: int = 3_000
    output_tokens: int = 8_192
    schema_fields: int = 24
    cache_from_tokens: int = 1_024
    context_tokens: int = 1_000_000
    prefix_cache: bool | None = None
    max_windows: int = 24

    def of(self, parameters: Mapping[str, Any], *, external: bool) -> "CallShape":
        """As it is for one engine."""
        own = {name: parameters[name] for name in NUMBERS if _is_count(parameters.get(name))}
        cache = parameters.get("prefix_cache", self.prefix_cache)
        return replace(self, **own, prefix_cache=cache if isinstance(cache, bool) else external)


NUMBERS = (
    "fuse_up_to_tokens",
    "output_tokens",
    "schema_fields",
    "cache_from_tokens",
    "context_tokens",
    "max_windows",
)
SHAPE_PARAMETERS = frozenset({*NUMBERS, "prefix_cache"})
"""Parameters of an engine that shape calls; no part of what is asked."""


@dataclass(frozen=True)
class Ask:
    """What the plan has to know of one task. own_tokens: its words with the description of its fields; schema_tokens:
    its fields in the schema; output_tokens: the longest answer it may give."""

    key: str
    owner: Owner
    sensitive: bool
    fuse: bool
    own_tokens: int
    schema_tokens: int
    output_tokens: int
    fields: int = 1


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


Call = tuple[str, ...]
"""Keys of the tasks one call asks."""


@dataclass(frozen=True)
class CallGroup:
    """Calls that belong together. shared: they have one schema, the union of all their tasks', and the first goes alone
    before the rest; otherwise there is one call, with a schema of its own."""

    calls: tuple[Call, ...]
    shared: bool = False

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(key for call in self.calls for key in call)


def plan_calls(
    asks: Sequence[Ask], *, system_tokens: int, turns_tokens: int, shape: CallShape
) -> tuple[CallGroup, ...]:
    """Every ask in exactly one call. No call and no schema crosses a sensitivity class, no call an owner level."""
    of_key = {ask.key: ask for ask in asks}
    prefix = system_tokens + turns_tokens
    groups: list[CallGroup] = []
    for sensitive in (False, True):
        of_class = sorted((a for a in of_key.values() if a.sensitive is sensitive), key=lambda a: a.key)
        calls = list(_calls(of_class, prefix, turns_tokens <= shape.fuse_up_to_tokens, shape))
        for some in _chunks(calls, lambda call: sum(a.fields for a in call), shape.schema_fields):
            groups += _grouped(some, prefix, shape)
    return tuple(groups)


def plain_cost(calls: Sequence[Sequence[Ask]], prefix: int) -> float:
    """Input of calls that share nothing, in plain tokens. prefix: system text and turns."""
    return float(sum(prefix + _schema(call) + _own(call) for call in calls))


def shared_cost(calls: Sequence[Sequence[Ask]], prefix: int) -> float:
    """Input of calls on one cached prefix with one schema: written once, read by the rest."""
    cached = prefix + sum(map(_schema, calls))
    return cached * (CACHE_WRITE + (len(calls) - 1) * CACHED_READ) + sum(map(_own, calls))


def _calls(asks: Sequence[Ask], prefix: int, short: bool, shape: CallShape) -> Iterator[tuple[Ask, ...]]:
    """What is asked together, then what is asked alone."""
    fusable = [ask for ask in asks if short and ask.fuse]
    for owner in Owner:
        yield from _fused([ask for ask in fusable if ask.owner is owner], prefix, shape)
    yield from ((ask,) for ask in asks if not (short and ask.fuse))


def _fused(asks: Sequence[Ask], prefix: int, shape: CallShape) -> Iterator[tuple[Ask, ...]]:
    """As few calls as fit, in order."""
    open_: tuple[Ask, ...] = ()
    for ask in asks:
        wider = (*open_, ask)
        if open_ and not _fits(wider, prefix, shape):
            yield open_
            wider = (ask,)
        open_ = wider
    if open_:
        yield open_


def _fits(call: Sequence[Ask], prefix: int, shape: CallShape) -> bool:
    output = sum(ask.output_tokens for ask in call)
    return (
        output <= shape.output_tokens
        and sum(ask.fields for ask in call) <= shape.schema_fields
        and prefix + _schema(call) + _own(call) + output <= shape.context_tokens
    )


def _grouped(calls: Sequence[tuple[Ask, ...]], prefix: int, shape: CallShape) -> Iterator[CallGroup]:
    """One group on a shared prefix where that is worth it, else a group a call."""
    keys = tuple(tuple(ask.key for ask in call) for call in calls)
    cached = prefix + sum(map(_schema, calls))
    longest = max((_own(call) + sum(a.output_tokens for a in call) for call in calls), default=0)
    worth = (
        bool(shape.prefix_cache)
        and len(calls) > 1
        and cached >= shape.cache_from_tokens
        and cached + longest <= shape.context_tokens
        and shared_cost(calls, prefix) < plain_cost(calls, prefix)
    )
    if worth:
        yield CallGroup(keys, shared=True)
    else:
        yield from (CallGroup((call,)) for call in keys)


def _chunks(
    calls: Sequence[tuple[Ask, ...]], size: Callable[[tuple[Ask, ...]], int], most: int
) -> Iterator[list[tuple[Ask, ...]]]:
    open_: list[tuple[Ask, ...]] = []
    for call in calls:
        if open_ and sum(map(size, open_)) + size(call) > most:
            yield open_
            open_ = []
        open_.append(call)
    if open_:
        yield open_


def _schema(call: Sequence[Ask]) -> int:
    return sum(ask.schema_tokens for ask in call)


def _own(call: Sequence[Ask]) -> int:
    return sum(ask.own_tokens for ask in call)
