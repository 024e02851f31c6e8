-- A file of many conversations. The checkpoint (rows and bytes read) is committed together with what became of the rows.
create table import (
  tenant_id text not null,
  id uuid not null,
  source text not null,
  source_named boolean not null,
  format text not null,
  media_type text not null,
  name text,
  dry_run boolean not null,
  state text not null default 'waiting' check (state in (
    'waiting', 'running', 'paused', 'failed', 'completed', 'cancelled'
  )),
  reason text,
  detail text,
  waits text,
  entry integer not null default 1 check (entry > 0),
  content_key text not null,
  size bigint not null check (size > 0),
  sha256 text not null check (sha256 ~ '^[0-9a-f]{64}$'),
  bytes_read bigint not null default 0,
  rows jsonb not null,
  volumes jsonb not null,
  worked_ms bigint not null default 0,
  actor text not null,
  created_at timestamptz not null default now(),
  started_at timestamptz,
  ended_at timestamptz,
  touched_at timestamptz not null default now(),
  primary key (tenant_id, id),
  foreign key (tenant_id, source) references source (tenant_id, slug)
) with (fillfactor = 70);
comment on column import.entry is 'which run may write: each resumption has the next one';
comment on column import.waits is 'what it waits for by itself, while it runs';
comment on column import.rows is 'how many were read, and by outcome';
comment on column import.volumes is 'by channel: conversations, characters, audio: what a cost can be estimated from';
comment on column import.touched_at is 'when a worker was last heard of';

create index import_by_time on import (tenant_id, created_at desc, id desc);
-- Of all tenants: the reconciler asks before it knows one.
create index import_open on import (touched_at) where state in ('waiting', 'running');

-- The report: a line a row, or a line for each conversation that came of it.
create table import_row (
  tenant_id text not null,
  import_id uuid not null,
  number integer not null check (number > 0),
  part integer not null check (part > 0),
  name text,
  outcome text not null check (outcome in ('created', 'unchanged', 'revised', 'failed')),
  conversation_id uuid,
  revision integer,
  code text,
  problems jsonb,
  primary key (tenant_id, import_id, number, part),
  foreign key (tenant_id, import_id) references import (tenant_id, id) on delete cascade
);
comment on column import_row.conversation_id is 'refers to nothing: what is erased leaves its line in the report';

create index import_row_failed on import_row (tenant_id, import_id, number, part) where outcome = 'failed';

-- Imports that should be worked on: nobody has begun them, or nobody has been heard of for a while.
create function platform_due_imports(most integer, fresh_seconds double precision, silent_seconds double precision)
returns table (tenant_id text, import_id uuid, entry integer)
language sql
stable
security definer
set search_path = public, pg_temp
as $$
  select i.tenant_id, i.id, i.entry
  from import i
  join tenant t on t.id = i.tenant_id and t.state = 'active'
  where i.state in ('waiting', 'running')
    and i.touched_at <= now() - make_interval(
      secs => case i.state when 'waiting' then fresh_seconds else silent_seconds end
    )
  order by i.touched_at
  limit most
$$;

revoke execute on function platform_due_imports(integer, double precision, double precision) from public;
grant execute on function platform_due_imports(integer, double precision, double precision) to :"platform";

call secure_tenant_table('import');
call open_to_platform_functions('import');
call secure_tenant_table('import_row', 'select, insert, delete');
