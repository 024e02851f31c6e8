"""`dashboard_ratio` and `list_ratio`: what a tenant with 1,000,000 values pays for a look, beside one with 10,000.

Both tenants have the same 90 days, fields, channels and queues; only the number of conversations differs. Rows, values
and the sums by quarter of an hour are written by SQL, the sums by day are made by the product. The API is asked
in turns, each question of the one tenant next to the same of the other: a pair gives a ratio, the median is the figure.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from statistics import median
from typing import Any

import asyncpg
import httpx

from bench.ground import BenchError, Ground, http_client
from bench.measure import Measurement
from domain.clock import utc_now
from domain.starter import STARTER_FIELDS
from storage.protocols import Tenant

DASHBOARD_AIM, LIST_AIM = 2.0, 1.5
DAYS = 90


@dataclass(frozen=True)
class Sizes:
    """Conversations of either tenant, each with a value of every starter field; pairs of questions, and questions
    before anything is measured."""

    small: int = 10_000 // len(STARTER_FIELDS)
    large: int = 1_000_000 // len(STARTER_FIELDS)
    pairs: int = 40
    warm: int = 5


async def measure(ground: Ground, sizes: Sizes | None = None) -> list[Measurement]:
    """The figures. Raises BenchError when a request is refused or a number is not what was written."""
    sizes = sizes or Sizes()
    began = time.monotonic()
    small, large = await ground.tenant("few"), await ground.tenant("many")
    await _write(ground, {small.id: sizes.small, large.id: sizes.large})
    written = time.monotonic() - began
    await _cut_days(ground, (small, large))
    keys = [await ground.api_key(tenant.id, "read") for tenant in (small, large)]
    async with ground.server("api") as (_, url), http_client(url, keys[0]) as few, http_client(url, keys[1]) as many:
        clients = (few, many)
        await _require_all_counted(clients, (sizes.small, sizes.large))
        today = utc_now().date()
        period = {"from": str(today - timedelta(days=DAYS - 1)), "to": str(today)}
        narrowed = {**period, "channel": "call", "queue": "queue-2"}
        dashboard = await _pairs(clients, "/v1/dashboard", narrowed, sizes)
        unfiltered = await _pairs(clients, "/v1/dashboard", period, sizes)
        listed = await _pairs(clients, "/v1/conversations", {"channel": "call", "limit": 50}, sizes)
        second = await _pages(clients, {"channel": "call", "limit": 50}, sizes)
    values = f"{sizes.large * len(STARTER_FIELDS):,} against {sizes.small * len(STARTER_FIELDS):,} values"
    writing = {"seconds_to_write": round(written, 1)}
    return [
        _figure("dashboard_ratio", dashboard, DASHBOARD_AIM, f"{values}, two filters", writing),
        _figure("dashboard_ratio_unfiltered", unfiltered, None, "the same without a filter", {}),
        _figure("list_ratio", listed, LIST_AIM, f"{values}, first page of 50", {"second_page": _told(second)}),
    ]


# -- writing ------------------------------------------------------------------------------------------------

# A queue decides the team, a channel the source: some hundred combinations, as companies have.
_CONVERSATIONS = """
insert into conversation (tenant_id, id, source, external_id, channel, status, started_at, started_offset_minutes,
  queue, team, language, tags, dispositions, metadata, participants, notes, closed, content_key, content_hash)
select $1, gen_random_uuid(), 'source-' || c.channel, 'case-' || n, c.channel,
  case when n % 50 = 0 then 'failed' else 'completed' end,
  now() - random() * make_interval(days => $3), 0,
  'queue-' || n % 8, 'team-' || n % 8 / 3, (array['en', 'de', 'es'])[1 + n % 3],
  '{}', '{}', '{}', '[]', '[]', true, 'k' || n, 'h' || n
from generate_series(1, $2::integer) n
cross join lateral (select (array['call', 'chat', 'email', 'ticket'])[1 + (n / 8) % 4] as channel) c
"""

_VALUES = """
insert into field_value (tenant_id, id, conversation_id, revision, subject, subject_id, field_id, field_key, layer,
  kind, value, number_value, choice_value, explanation, evidence, evidence_state, turns_read, turns_total, stale,
  created_at)
select $1, gen_random_uuid(), c.id, 1, 'conversation', c.id::text, f.id, f.key, 'ai', 'inferred',
  case f.type when 'integer' then to_jsonb(r.number) when 'choice' then f.options -> r.option -> 'id' else '"text"' end,
  case f.type when 'integer' then r.number end,
  case f.type when 'choice' then f.options -> r.option ->> 'id' end,
  '', '[]', 'none', 5, 5, false, now()
from conversation c
cross join custom_field f
cross join lateral (
  select 1 + floor(random() * 5)::integer as number,
    floor(random() * greatest(1, jsonb_array_length(f.options)))::integer as option,
    c.id
) r
where c.tenant_id = $1
  and f.owner_id = 'operator'
"""

_SLICES = """
insert into rollup_slice (tenant_id, id, channel, source, queue, team, language)
select $1, row_number() over (), channel, source, queue, team, language
from (
  select distinct channel, source, queue, team, language
  from conversation
  where tenant_id = $1
) s
"""

_SUMS = """
insert into rollup (tenant_id, slice_id, field_id, bucket, option, count, total)
select $1, s.id, x.field_id, rollup_bucket(c.started_at), x.option, count(*), sum(x.total)
from conversation c
join rollup_slice s
  on s.tenant_id = c.tenant_id
  and (s.channel, s.source, s.queue, s.team, s.language) = (c.channel, c.source, c.queue, c.team, c.language)
join (
  select v.conversation_id, v.field_id, coalesce(v.choice_value, v.number_value::text, '') as option,
    coalesce(v.number_value, 0) as total
  from field_value v
  where v.tenant_id = $1
  union all
  select k.id, '00000000-0000-0000-0000-000000000000', k.channel || '/' || k.status, 0
  from conversation k
  where k.tenant_id = $1
) x on x.conversation_id = c.id
where c.tenant_id = $1
group by 2, 3, 4, 5
order by 2, 3, 4, 5
"""

_INDEXES = """
select indexname
from pg_indexes
where tablename = 'field_value'
  and indexname not in ('field_value_pkey', 'field_value_current')
"""


async def _write(ground: Ground, conversations: Mapping[str, int]) -> None:
    """As the schema's owner, without the triggers that would count row by row, and without the indexes on values that
    nothing here asks for."""
    owner: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(ground.owner_url, timeout=30)
    try:
        await owner.execute("set synchronous_commit = off; set work_mem = '128MB'")
        await owner.execute("alter table conversation disable trigger user")
        await owner.execute("alter table field_value drop constraint field_value_tenant_id_conversation_id_fkey")
        for index in await owner.fetch(_INDEXES):
            await owner.execute(f"drop index {index['indexname']}")
        for tenant_id, count in conversations.items():
            await owner.execute("select set_config('parley.tenant_id', $1, false)", tenant_id)
            for channel in ("call", "chat", "email", "ticket"):
                await owner.execute(
                    "insert into source (tenant_id, id, slug) values ($1, gen_random_uuid(), 'source-' || $2::text)",
                    tenant_id,
                    channel,
                )
            await owner.execute(_CONVERSATIONS, tenant_id, count, DAYS - 1)
            for statement in (_VALUES, _SLICES, _SUMS):
                await owner.execute(statement, tenant_id)
            await owner.execute("insert into rollup_state (tenant_id, zone) values ($1, 'nowhere yet')", tenant_id)
        await owner.execute("alter table conversation enable trigger user")
    finally:
        await owner.close(timeout=30)


async def _cut_days(ground: Ground, tenants: tuple[Tenant, ...]) -> None:
    """The sums by day, made as they are when a tenant moves to another zone."""
    async with ground.database() as database:
        for tenant in tenants:
            async with database.tenant_tx(tenant.id) as tx:
                await tx.rollups.fold(1)
    owner: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(ground.owner_url, timeout=30)
    for table in ("conversation", "field_value", "rollup", "rollup_day", "rollup_slice"):
        await owner.execute(f"analyze {table}")
    await owner.close(timeout=30)


# -- asking -------------------------------------------------------------------------------------------------


async def _require_all_counted(clients: tuple[httpx.AsyncClient, ...], counts: tuple[int, ...]) -> None:
    """Every conversation and every value is in the numbers."""
    for client, count in zip(clients, counts, strict=True):
        told = await _ask(client, "/v1/dashboard", {"from": str(utc_now().date() - timedelta(days=DAYS + 5))})
        values = sum(field["known"] for field in told["fields"])
        if (told["conversations"]["count"], values) != (count, count * len(STARTER_FIELDS)):
            raise BenchError(f"{count} conversations were written, {told['conversations']['count']} are counted")


async def _pairs(
    clients: tuple[httpx.AsyncClient, ...], path: str, query: Mapping[str, Any], sizes: Sizes
) -> list[tuple[float, float]]:
    """Seconds of the small and of the large tenant, one question after the other; who is asked first takes turns."""
    pairs = []
    for number in range(-sizes.warm, sizes.pairs):
        took = [0.0, 0.0]
        for side in (0, 1) if number % 2 else (1, 0):
            began = time.perf_counter()
            await _ask(clients[side], path, query)
            took[side] = time.perf_counter() - began
        if number >= 0:
            pairs.append((took[0], took[1]))
    return pairs


async def _pages(
    clients: tuple[httpx.AsyncClient, ...], query: Mapping[str, Any], sizes: Sizes
) -> list[tuple[float, float]]:
    """The same for the page after the first."""
    cursors = [(await _ask(client, "/v1/conversations", query))["next_cursor"] for client in clients]
    pairs = []
    for _ in range(sizes.pairs // 2):
        took = []
        for client, cursor in zip(clients, cursors, strict=True):
            began = time.perf_counter()
            await _ask(client, "/v1/conversations", {**query, "cursor": cursor})
            took.append(time.perf_counter() - began)
        pairs.append((took[0], took[1]))
    return pairs


async def _ask(client: httpx.AsyncClient, path: str, query: Mapping[str, Any]) -> Any:
    response = await client.get(path, params=dict(query))
    if not response.is_success:
        raise BenchError(f"GET {path} was answered {response.status_code}: {response.text[:200]}")
    return response.json()


def _figure(
    name: str, pairs: list[tuple[float, float]], aim: float | None, note: str, more: dict[str, Any]
) -> Measurement:
    told = _told(pairs)
    note = f"{note}: {told['large_ms']:g} against {told['small_ms']:g} ms"
    return Measurement(name, told["ratio"], aim=aim, direction="≤", note=note, detail={**told, **more})


def _told(pairs: list[tuple[float, float]]) -> dict[str, Any]:
    ratios = [large / small for small, large in pairs]
    return {
        "ratio": median(ratios),
        "small_ms": round(median(small for small, _ in pairs) * 1000, 1),
        "large_ms": round(median(large for _, large in pairs) * 1000, 1),
        "ratios": [round(ratio, 3) for ratio in ratios],
    }
