-- How a source's own form becomes the canonical one is configuration; its health is asked of its events, not kept.
alter table source
  add column name text,
  add column format text not null default 'canonical',
  add column preset text,
  add column updated_at timestamptz not null default now(),
  drop column health;
comment on column source.dedupe_key is 'JMESPath: events with the same value are one event; null: the same bytes are';
comment on column source.last_seen_at is 'to the minute: so that a busy source is not a hot row';

-- What a source sent in its own form: the row is the acceptance, the sealed body what it is read from, as often as it
-- takes. `dedupe` is a digest, so that no sender's key is kept in the clear.
create table source_event (
  tenant_id text not null,
  id uuid not null,
  source_id uuid not null,
  dedupe bytea not null check (octet_length(dedupe) = 32),
  content_key text not null,
  media_type text not null,
  size bigint not null check (size >= 0),
  state text not null check (state in ('accepted', 'received', 'dead_lettered')),
  attempts integer not null,
  received_at timestamptz not null,
  claimed_until timestamptz not null,
  finished_at timestamptz,
  error_type text,
  error text,
  outcomes jsonb not null default '[]',
  primary key (tenant_id, id),
  unique (tenant_id, source_id, dedupe),
  foreign key (tenant_id, source_id) references source (tenant_id, id) on delete cascade
) with (fillfactor = 70);
comment on column source_event.claimed_until is 'until then somebody reads it; after that it is due, while accepted';

create index source_event_by_time on source_event (tenant_id, source_id, received_at desc, state);
create index source_event_failed on source_event (tenant_id, source_id, received_at desc)
  where state = 'dead_lettered';
-- Of all tenants: the reconciler asks before it knows one.
create index source_event_due on source_event (claimed_until) where state = 'accepted';

call secure_tenant_table(
  'source_event',
  'select, insert, delete, update (state, attempts, claimed_until, finished_at, error_type, error, outcomes)'
);
call open_to_platform_functions('source_event');

-- Events that were accepted and that nobody is reading: their process died, or a part it needed was away.
create function platform_due_events(most integer)
returns table (tenant_id text, event_id uuid)
language sql
stable
security definer
set search_path = public, pg_temp
as $$
  select e.tenant_id, e.id
  from source_event e
  join tenant t on t.id = e.tenant_id and t.state = 'active'
  where e.state = 'accepted'
    and e.claimed_until <= now()
  order by e.claimed_until
  limit most
$$;

revoke execute on function platform_due_events(integer) from public;
grant execute on function platform_due_events(integer) to :"platform";
