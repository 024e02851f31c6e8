-- What dashboards read. Deltas are appended by whoever changes something and folded later into two sums: by 15 minutes
-- (UTC), which is the truth, and by day in the tenant's zone, which is made from it and made anew when the zone changes.
-- The deltas of before had no dimensions; what they counted is counted anew at the end of this file's neighbour.
drop table rollup;
drop table rollup_delta;

create table rollup_delta (
  tenant_id text not null,
  id bigint generated always as identity,
  field_id uuid not null,
  bucket timestamptz not null,
  option text not null,
  channel text not null,
  source text not null,
  queue text not null,
  team text not null,
  language text not null,
  count bigint not null,
  total double precision not null,
  primary key (tenant_id, id)
);
comment on column rollup_delta.field_id is 'all zeros: conversations themselves, and then the option is channel/status';
comment on column rollup_delta.bucket is 'start of 15 minutes, UTC';
comment on column rollup_delta.option is
  'what is counted: an option, true or false, a number''s first two digits, ? for unknown, empty for a known text or day';
comment on column rollup_delta.queue is 'empty: none; so for team and language';

-- One row a combination of dimensions, so that sums are narrow and few: how many there may be is bounded by the folder.
create table rollup_slice (
  tenant_id text not null,
  id integer not null check (id > 0),
  channel text not null,
  source text not null,
  queue text not null,
  team text not null,
  language text not null,
  primary key (tenant_id, id),
  unique (tenant_id, channel, source, queue, team, language)
);

create table rollup (
  tenant_id text not null,
  slice_id integer not null,
  field_id uuid not null,
  bucket timestamptz not null,
  option text not null,
  count bigint not null,
  total double precision not null,
  primary key (tenant_id, slice_id, field_id, bucket, option),
  foreign key (tenant_id, slice_id) references rollup_slice (tenant_id, id) on delete cascade
) with (fillfactor = 80);
comment on table rollup is 'deltas folded, by 15 minutes';

create table rollup_day (
  tenant_id text not null,
  slice_id integer not null,
  day date not null,
  field_id uuid not null,
  option text not null,
  count bigint not null,
  total double precision not null,
  primary key (tenant_id, slice_id, day, field_id, option)
) with (fillfactor = 80);
comment on table rollup_day is 'the same by day in the zone of rollup_state';
comment on column rollup_day.slice_id is '0: all slices together, what a dashboard without filters reads';

create table rollup_state (
  tenant_id text primary key,
  zone text not null
);
comment on table rollup_state is 'in which zone rollup_day is cut; its row is locked while a tenant''s deltas are folded';

-- What a conversation's values have been counted as, so that counting again adds the difference only.
create table conversation_counted (
  tenant_id text not null,
  conversation_id uuid not null,
  cells jsonb not null,
  primary key (tenant_id, conversation_id),
  foreign key (tenant_id, conversation_id) references conversation (tenant_id, id) on delete cascade
) with (fillfactor = 80);
comment on column conversation_counted.cells is '[{field_id, option, count, total}]';

call secure_tenant_table('rollup_delta', 'select, insert, delete');
call open_to_platform_functions('rollup_delta');  -- for one that tells whose there are, and nothing else
call secure_tenant_table('rollup_slice', 'select, insert, delete');
call secure_tenant_table('rollup');
call secure_tenant_table('rollup_day');
call secure_tenant_table('rollup_state');
call secure_tenant_table('conversation_counted');

-- -- counting

create function rollup_bucket(at timestamptz) returns timestamptz
language sql
immutable
parallel safe
as $$
  select date_bin('15 minutes', at, timestamptz '2000-01-01 00:00:00+00')
$$;

-- The lower end of a number's place: its first two digits. 4 → 4, 4.27 → 4.2, 1234 → 1200, -1.25 → -1.3. Very small
-- numbers are 0 and very large ones one place, so that there are no more than some thousand places.
create function rollup_place(value double precision) returns text
language plpgsql
immutable
parallel safe
as $$
declare
  exact numeric := greatest(least(value, 1e18), -1e18)::numeric;
  power_of_ten integer;
  digits integer;
  cut numeric;
begin
  if abs(exact) < 0.000001 then
    return '0';
  end if;
  power_of_ten := floor(log(abs(exact)))::integer;
  if power(10::numeric, power_of_ten) > abs(exact) then  -- the logarithm of 999999999.999999 is rounded to 9
    power_of_ten := power_of_ten - 1;
  end if;
  digits := 1 - power_of_ten;
  cut := trunc(exact, digits);
  if cut > exact then
    cut := cut - power(10::numeric, -digits);
  end if;
  return trim_scale(cut)::text;
end
$$;

-- Counts a conversation's effective values: what they are now, less what they have been counted as. One that was merged
-- into another has none. The caller holds the conversation's row. Answers how many deltas that made.
create function count_values(of_tenant text, conversation uuid) returns bigint
language sql
volatile
as $$
  with counted as (
    select c.tenant_id, c.channel, c.source, c.queue, c.team, c.language, rollup_bucket(c.started_at) as bucket
    from conversation c
    where c.tenant_id = of_tenant
      and c.id = conversation
  ),
  effective as (
    select distinct on (v.field_id, v.subject, v.subject_id) v.*
    from field_value v
    where v.tenant_id = of_tenant
      and v.conversation_id = conversation
      and v.superseded_at is null
      and not exists (
        select
        from conversation c
        where c.tenant_id = of_tenant
          and c.id = conversation
          and c.merged_into is not null
      )
    order by v.field_id, v.subject, v.subject_id, (v.layer = 'human') desc
  ),
  single as (
    select
      e.field_id,
      case
        when e.kind = 'unknown' then '?'
        when e.number_value is not null then rollup_place(e.number_value)
        else coalesce(e.choice_value, e.boolean_value::text, '')
      end as option,
      coalesce(e.number_value, 0) as total
    from effective e
    union all
    select e.field_id, unnest(e.choices_value), 0
    from effective e
  ),
  cells as (
    select s.field_id, s.option, count(*) as count, sum(s.total) as total
    from single s
    group by s.field_id, s.option
  ),
  before as (
    select b.field_id, b.option, b.count, b.total
    from conversation_counted k
    cross join lateral jsonb_to_recordset(k.cells) as b (field_id uuid, option text, count bigint, total double precision)
    where k.tenant_id = of_tenant
      and k.conversation_id = conversation
  ),
  changed as (
    select x.field_id, x.option, sum(x.count)::bigint as count, sum(x.total) as total
    from (
      select field_id, option, count, total from cells
      union all
      select field_id, option, -count, -total from before
    ) x
    group by x.field_id, x.option
    having sum(x.count) <> 0 or sum(x.total) <> 0
  ),
  remembered as (
    insert into conversation_counted as k (tenant_id, conversation_id, cells)
    select of_tenant, conversation, coalesce((select jsonb_agg(to_jsonb(c) order by c) from cells c), '[]')
    where exists (select from changed)
      and exists (select from counted)
    on conflict (tenant_id, conversation_id) do update
      set cells = excluded.cells
  ),
  added as (
    insert into rollup_delta (
      tenant_id, field_id, bucket, option, channel, source, queue, team, language, count, total
    )
    select
      o.tenant_id, c.field_id, o.bucket, c.option, o.channel, o.source, coalesce(o.queue, ''), coalesce(o.team, ''),
      coalesce(o.language, ''), c.count, c.total
    from changed c
    cross join counted o
    returning 1
  )
  select count(*) from added
$$;

-- A conversation as it was (sign -1) or is (sign 1): itself under its channel and status and, when asked for, its counted values.
create function count_conversation(c conversation, sign integer, with_values boolean) returns void
language sql
volatile
as $$
  insert into rollup_delta (
    tenant_id, field_id, bucket, option, channel, source, queue, team, language, count, total
  )
  select
    (c).tenant_id, x.field_id, rollup_bucket((c).started_at), x.option, (c).channel, (c).source,
    coalesce((c).queue, ''), coalesce((c).team, ''), coalesce((c).language, ''), sign * x.count, sign * x.total
  from (
    select
      '00000000-0000-0000-0000-000000000000'::uuid,
      (c).channel || '/' || (c).status,
      1::bigint,
      0::double precision
    union all
    select b.field_id, b.option, b.count, b.total
    from conversation_counted k
    cross join lateral jsonb_to_recordset(k.cells) as b (field_id uuid, option text, count bigint, total double precision)
    where with_values
      and k.tenant_id = (c).tenant_id
      and k.conversation_id = (c).id
  ) x (field_id, option, count, total)
$$;

-- Whoever writes a conversation's row moves its numbers, and nobody has to remember to. One that is merged into another
-- leaves them; its values are then counted anew by who merges.
create function recount_conversation() returns trigger
language plpgsql
as $$
declare
  moved boolean := tg_op = 'UPDATE' and (
    (old.channel, old.source, old.queue, old.team, old.language, rollup_bucket(old.started_at))
    is distinct from
    (new.channel, new.source, new.queue, new.team, new.language, rollup_bucket(new.started_at))
  );
begin
  if tg_op = 'UPDATE' and not moved and old.status = new.status and old.merged_into is not distinct from new.merged_into then
    return null;
  end if;
  if tg_op <> 'INSERT' and old.merged_into is null then
    perform count_conversation(old, -1, moved or tg_op = 'DELETE');
  end if;
  if tg_op = 'DELETE' then
    return old;
  end if;
  if new.merged_into is null then
    perform count_conversation(new, 1, moved);
  end if;
  return null;
end
$$;

create trigger recount after insert or update of status, channel, source, queue, team, language, started_at, merged_into
  on conversation
  for each row execute function recount_conversation();

-- Before, because what its values were counted as goes with it.
create trigger uncount before delete on conversation
  for each row execute function recount_conversation();

grant execute on function
  rollup_bucket(timestamptz),
  rollup_place(double precision),
  count_values(text, uuid),
  count_conversation(conversation, integer, boolean)
to :"app";

-- -- for the folder, before a tenant is known

-- Tenants with deltas, one probe of the index each.
create function platform_rollups_waiting(most integer) returns setof text
language sql
stable
security definer
set search_path = public, pg_temp
as $$
  with recursive waiting as (
    (
      select d.tenant_id
      from rollup_delta d
      order by d.tenant_id
      limit 1
    )
    union all
    select (
      select d.tenant_id
      from rollup_delta d
      where d.tenant_id > w.tenant_id
      order by d.tenant_id
      limit 1
    )
    from waiting w
    where w.tenant_id is not null
  )
  select w.tenant_id
  from waiting w
  where w.tenant_id is not null
  limit most
$$;

grant execute on function platform_rollups_waiting(integer) to :"platform";
