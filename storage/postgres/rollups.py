"""Rollups: deltas folded into sums, and sums read together with what is not folded yet."""

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from domain.errors import Unavailable
from domain.rollups import MAX_SLICES, OTHER, Counted, Dimension, Narrowing, Period, day_of, start_of
from storage.postgres.repository import Repository
from storage.postgres.session import Session
from storage.protocols import Tenant

if TYPE_CHECKING:
    from asyncpg import Record

_EVERY = 0
"""Slice of all slices together, in the sums by day."""

# One folder at a time and tenant; whose zone the days are cut in.
_STATE = """
select zone
from rollup_state
where tenant_id = $1
for update
"""

_FIRST_STATE = """
insert into rollup_state (tenant_id, zone)
values ($1, $2)
on conflict (tenant_id) do nothing
"""

_CHOSEN = """
with chosen as (
  select id, bucket
  from rollup_delta
  where tenant_id = $1
  order by id
  limit $2
)
select array_agg(id) as ids, array_agg(distinct bucket) as buckets
from chosen
"""

# Ids are 1, 2, 3 … without gaps, so that counting them tells the next one.
_NEW_SLICES = """
with wanted as (
  select distinct channel, source, queue, team, language
  from rollup_delta
  where tenant_id = $1
    and id = any ($2::bigint[])
),
missing as (
  select w.*, row_number() over (order by w.channel, w.source, w.queue, w.team, w.language) as number
  from wanted w
  where not exists (
    select
    from rollup_slice s
    where s.tenant_id = $1
      and (s.channel, s.source, s.queue, s.team, s.language) = (w.channel, w.source, w.queue, w.team, w.language)
  )
),
known as (
  select count(*) as slices
  from rollup_slice
  where tenant_id = $1
)
insert into rollup_slice (tenant_id, id, channel, source, queue, team, language)
select $1, k.slices + m.number, m.channel, m.source, m.queue, m.team, m.language
from missing m
cross join known k
where k.slices + m.number <= $3
returning 1
"""

# What found no room: one slice a channel.
_OTHER_SLICES = """
with missing as (
  select d.channel, row_number() over (order by d.channel) as number
  from rollup_delta d
  where d.tenant_id = $1
    and d.id = any ($2::bigint[])
    and not exists (
      select
      from rollup_slice s
      where s.tenant_id = $1
        and s.channel = d.channel
        and (
          (s.source, s.queue, s.team, s.language) = (d.source, d.queue, d.team, d.language)
          or (s.source, s.queue, s.team, s.language) = ($3, $3, $3, $3)
        )
    )
  group by d.channel
)
insert into rollup_slice (tenant_id, id, channel, source, queue, team, language)
select $1, (select count(*) from rollup_slice where tenant_id = $1) + number, channel, $3, $3, $3, $3
from missing
"""

# Each delta is taken away and added in one statement: once, whatever happens before or after. What adds up to nothing,
# such as a status that was passed through, is never written. Answers which sums have become empty.
_FOLD = """
with taken as (
  delete from rollup_delta
  where tenant_id = $1
    and id = any ($2::bigint[])
  returning *
),
sliced as (
  select coalesce(s.id, o.id) as slice_id, t.field_id, t.bucket, c.day, t.option, t.count, t.total
  from taken t
  join unnest($3::timestamptz[], $4::date[]) as c (bucket, day) using (bucket)
  left join rollup_slice s
    on s.tenant_id = $1
    and (s.channel, s.source, s.queue, s.team, s.language) = (t.channel, t.source, t.queue, t.team, t.language)
  left join rollup_slice o
    on o.tenant_id = $1
    and (o.channel, o.source, o.queue, o.team, o.language) = (t.channel, $5, $5, $5, $5)
),
quarters as (
  insert into rollup as r (tenant_id, slice_id, field_id, bucket, option, count, total)
  select $1, slice_id, field_id, bucket, option, sum(count), sum(total)
  from sliced
  group by slice_id, field_id, bucket, option
  having sum(count) <> 0 or sum(total) <> 0
  on conflict (tenant_id, slice_id, field_id, bucket, option) do update
    set count = r.count + excluded.count,
        total = r.total + excluded.total
  returning slice_id, field_id, bucket, option, count
),
days as (
  insert into rollup_day as r (tenant_id, slice_id, day, field_id, option, count, total)
  select $1, x.slice_id, s.day, s.field_id, s.option, sum(s.count), sum(s.total)
  from sliced s
  cross join lateral (values (s.slice_id), (0)) as x (slice_id)
  group by x.slice_id, s.day, s.field_id, s.option
  having sum(s.count) <> 0 or sum(s.total) <> 0
  on conflict (tenant_id, slice_id, day, field_id, option) do update
    set count = r.count + excluded.count,
        total = r.total + excluded.total
  returning slice_id, day, field_id, option, count
)
select true as by_day, slice_id, field_id, option, null::timestamptz as bucket, day
from days
where count = 0
union all
select false, slice_id, field_id, option, bucket, null
from quarters
where count = 0
"""

_REMOVE_QUARTERS = """
delete from rollup r
using unnest($2::integer[], $3::uuid[], $4::text[], $5::timestamptz[]) as e (slice_id, field_id, option, bucket)
where r.tenant_id = $1
  and r.slice_id = e.slice_id
  and r.field_id = e.field_id
  and r.option = e.option
  and r.bucket = e.bucket
  and r.count = 0
"""

_REMOVE_DAYS = """
delete from rollup_day r
using unnest($2::integer[], $3::uuid[], $4::text[], $5::date[]) as e (slice_id, field_id, option, day)
where r.tenant_id = $1
  and r.slice_id = e.slice_id
  and r.field_id = e.field_id
  and r.option = e.option
  and r.day = e.day
  and r.count = 0
"""

_SPAN = """
select min(bucket) as first, max(bucket) as last
from rollup
where tenant_id = $1
"""

_CLEAR_DAYS = """
delete from rollup_day
where tenant_id = $1
"""

_DAYS_ANEW = """
insert into rollup_day (tenant_id, slice_id, day, field_id, option, count, total)
select $1, x.slice_id, ($3::date[])[width_bucket(r.bucket, $2::timestamptz[])] as day, r.field_id, r.option,
  sum(r.count), sum(r.total)
from rollup r
cross join lateral (values (r.slice_id), (0)) as x (slice_id)
where r.tenant_id = $1
group by x.slice_id, day, r.field_id, r.option
"""

_SET_ZONE = """
update rollup_state
set zone = $2
where tenant_id = $1
"""

_CHOICES = """
select distinct channel, source, queue, team, language
from (
  select channel, source, queue, team, language
  from rollup_slice
  where tenant_id = $1
  union all
  select channel, source, queue, team, language
  from rollup_delta
  where tenant_id = $1
) known
"""

# What is wanted of each dimension, null for all of them.
_DIMENSIONS = """
  and ($%d::text[] is null or channel = any ($%d::text[]))
  and ($%d::text[] is null or source = any ($%d::text[]))
  and ($%d::text[] is null or queue = any ($%d::text[]))
  and ($%d::text[] is null or team = any ($%d::text[]))
  and ($%d::text[] is null or language = any ($%d::text[]))
"""


def _dimensions(first: int) -> str:
    """The conditions, with their parameters numbered from `first` on."""
    return _DIMENSIONS % tuple(first + number for number in range(len(Dimension)) for _ in range(2))


# Which slices are wanted, and what that was looked up in: `_READ` tells whether it still holds.
_SHAPE = f"""
select
  (select zone from rollup_state where tenant_id = $1) as zone,
  (select count(*) from rollup_slice where tenant_id = $1) as slices,
  array(
    select id
    from rollup_slice
    where tenant_id = $1
      {_dimensions(2)}
  ) as wanted
"""  # noqa: S608 - constants of this module

_BY_DAY = """
  select width_bucket(r.day, $3::date[]) as step, r.field_id, r.option, r.count, r.total
  from rollup_day r
  where r.tenant_id = $1
    and r.slice_id = any ($5::integer[])
    and r.day >= ($3::date[])[1]
    and r.day < ($3::date[])[cardinality($3::date[])]
    and r.field_id = any ($2::uuid[])
"""

_BY_QUARTER = """
  select width_bucket(r.bucket, $4::timestamptz[]) as step, r.field_id, r.option, r.count, r.total
  from rollup r
  where r.tenant_id = $1
    and r.slice_id = any ($5::integer[])
    and r.field_id = any ($2::uuid[])
    and r.bucket >= ($4::timestamptz[])[1]
    and r.bucket < ($4::timestamptz[])[cardinality($4::timestamptz[])]
    and $3::date[] is not null
"""


def _read(sums: str) -> str:
    """Sums and what is not folded yet in one statement, so that nothing is seen twice or not at all. The last row says
    in which zone days are cut and how many slices there are."""
    return f"""
select step - 1 as step, field_id, option, sum(count)::bigint as count, sum(total) as total
from (
  {sums}
  union all
  select width_bucket(d.bucket, $4::timestamptz[]), d.field_id, d.option, d.count, d.total
  from rollup_delta d
  where d.tenant_id = $1
    and d.field_id = any ($2::uuid[])
    and d.bucket >= ($4::timestamptz[])[1]
    and d.bucket < ($4::timestamptz[])[cardinality($4::timestamptz[])]
    {_dimensions(6)}
) known
group by step, field_id, option
having sum(count) <> 0
union all
select null, null, (select zone from rollup_state where tenant_id = $1),
  (select count(*) from rollup_slice where tenant_id = $1), null
order by step nulls last
"""  # noqa: S608


_READ_DAYS, _READ_QUARTERS = _read(_BY_DAY), _read(_BY_QUARTER)
_LOOKS = 10


class PostgresRollups(Repository):
    """See `storage.protocols.Rollups`."""

    def __init__(self, session: Session, tenant: Tenant, *, max_slices: int = MAX_SLICES) -> None:
        super().__init__(session, tenant.id)
        self._zone = tenant.time_zone
        self._max_slices = max_slices

    async def count_values(self, conversation_id: str) -> None:
        await self._value("select count_values($1, $2)", conversation_id)

    async def fold(self, limit: int) -> int:
        if await self._value(_STATE) is None:
            await self._execute(_FIRST_STATE, self._zone)
        if await self._value(_STATE) != self._zone:
            await self._cut_days_anew()
        chosen = await self._row(_CHOSEN, limit)
        if chosen is None or chosen["ids"] is None:
            return 0
        ids, buckets = chosen["ids"], chosen["buckets"]
        await self._execute(_NEW_SLICES, ids, self._max_slices)
        await self._execute(_OTHER_SLICES, ids, OTHER)
        zone = ZoneInfo(self._zone)
        emptied = await self._rows(_FOLD, ids, buckets, [day_of(bucket, zone) for bucket in buckets], OTHER)
        await self._remove(emptied)
        return len(ids)

    async def read(self, field_ids: Sequence[str], period: Period, narrowing: Narrowing) -> Sequence[Counted]:
        """Days that are cut in another zone than the period's are not read: then the quarters of an hour are."""
        wanted = [list(narrowing[d]) if d in narrowing else None for d in Dimension]
        everything = all(values is None for values in wanted)
        for _ in range(_LOOKS):
            shape = await self._row(_SHAPE, *wanted)
            assert shape is not None
            by_day = shape["zone"] in (None, period.zone)
            slices = [_EVERY] if everything and by_day else shape["wanted"]
            rows = await self._rows(
                _READ_DAYS if by_day else _READ_QUARTERS,
                list(field_ids),
                period.starts,
                period.instants,
                slices,
                *wanted,
            )
            *found, seen = rows
            if (seen["option"], seen["count"]) == (shape["zone"], shape["slices"]):
                return [Counted(**dict(row)) for row in found]
        raise Unavailable("the rollups are being rebuilt; try again")

    async def choices(self) -> dict[Dimension, tuple[str, ...]]:
        rows = await self._rows(_CHOICES)
        return {d: tuple(sorted({row[d.value] for row in rows})) for d in Dimension}

    async def _remove(self, emptied: "Sequence[Record]") -> None:
        for by_day, statement, when in ((True, _REMOVE_DAYS, "day"), (False, _REMOVE_QUARTERS, "bucket")):
            rows = [row for row in emptied if row["by_day"] is by_day]
            if rows:
                await self._execute(
                    statement, *([row[name] for row in rows] for name in ("slice_id", "field_id", "option", when))
                )

    async def _cut_days_anew(self) -> None:
        """The tenant has moved to another zone: its days are other days."""
        await self._execute(_CLEAR_DAYS)
        span = await self._row(_SPAN)
        if span is not None and span["first"] is not None:
            zone = ZoneInfo(self._zone)
            first, last = day_of(span["first"], zone), day_of(span["last"], zone)
            days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
            await self._execute(_DAYS_ANEW, [start_of(day, zone) for day in days], days)
        await self._execute(_SET_ZONE, self._zone)
