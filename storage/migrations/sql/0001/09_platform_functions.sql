-- All the platform role can do: ids and leases, before a tenant is known. It may read no table.

create function platform_api_key(wanted bytea)
returns table (id uuid, tenant_id text, partner_id text, scopes text[], name text)
language sql
stable
security definer
set search_path = public, pg_temp
as $$
  select k.id, k.tenant_id, k.partner_id, k.scopes, k.name
  from api_key k
  where k.key_hash = wanted
    and k.revoked_at is null
    and (k.expires_at is null or k.expires_at > now())
$$;

create function platform_tenants()
returns setof tenant
language sql
stable
security definer
set search_path = public, pg_temp
as $$
  select *
  from tenant
  where state <> 'erased'
  order by slug
$$;

-- Entries that should have been started by now: the accepting process died, or Temporal was away.
create function platform_due_entries(most integer, older_than_seconds double precision)
returns table (tenant_id text, conversation_id uuid, revision integer, entry integer, lane text)
language sql
stable
security definer
set search_path = public, pg_temp
as $$
  select e.tenant_id, e.conversation_id, e.revision, e.entry, e.lane
  from conversation_entry e
  join tenant t on t.id = e.tenant_id and t.state = 'active'
  where e.state = 'pending'
    and coalesce(e.not_before, e.created_at) <= now()
    and e.created_at <= now() - make_interval(secs => older_than_seconds)
  order by coalesce(e.not_before, e.created_at)
  limit most
$$;

-- Leases nobody has confirmed for a while: their runs may be gone.
create function platform_stale_leases(most integer, older_than_seconds double precision)
returns table (tenant_id text, conversation_id uuid, revision integer, entry integer, lane text)
language sql
stable
security definer
set search_path = public, pg_temp
as $$
  select l.tenant_id, l.conversation_id, l.revision, l.entry, e.lane
  from conversation_lease l
  join conversation_entry e using (tenant_id, conversation_id, revision, entry)
  where l.released_at is null
    and l.confirmed_at <= now() - make_interval(secs => older_than_seconds)
  order by l.confirmed_at
  limit most
$$;

create function platform_lead(job text, candidate text, ttl_seconds double precision)
returns boolean
language sql
volatile
security definer
set search_path = public, pg_temp
as $$
  with won as (
    insert into leader as l (name, holder, expires_at)
    values (job, candidate, clock_timestamp() + make_interval(secs => ttl_seconds))
    on conflict (name) do update
      set holder = excluded.holder, expires_at = excluded.expires_at
      where l.holder = excluded.holder or l.expires_at < clock_timestamp()
    returning 1
  )
  select exists (select from won)
$$;

create function platform_search_dirty(most integer)
returns table (tenant_id text, conversation_id uuid, mark bigint, since timestamptz, attempts integer)
language sql
stable
security definer
set search_path = public, pg_temp
as $$
  select o.tenant_id, o.conversation_id, o.mark, o.since, o.attempts
  from search_outbox o
  where o.due_at <= statement_timestamp()
  order by o.due_at
  limit most
$$;

-- A row that somebody is changing right now is skipped: it gets another mark anyway.
create function platform_search_clear(tenant_ids text[], conversation_ids uuid[], marks bigint[])
returns void
language sql
volatile
security definer
set search_path = public, pg_temp
as $$
  with done as (
    select o.tenant_id, o.conversation_id
    from search_outbox o
    join unnest(tenant_ids, conversation_ids, marks) as d (tenant_id, conversation_id, mark)
      using (tenant_id, conversation_id, mark)
    for update of o skip locked
  )
  delete from search_outbox o
  using done d
  where o.tenant_id = d.tenant_id
    and o.conversation_id = d.conversation_id
$$;

-- Twice as long after each failure, up to five minutes.
create function platform_search_defer(tenant text, conversation uuid, seen bigint, error text)
returns void
language sql
volatile
security definer
set search_path = public, pg_temp
as $$
  update search_outbox
  set attempts = attempts + 1,
      due_at = clock_timestamp() + make_interval(secs => least(300, 2 ^ least(attempts, 10))),
      last_error = left(error, 500)
  where tenant_id = tenant
    and conversation_id = conversation
    and mark = seen
$$;

create function platform_search_lag_seconds()
returns double precision
language sql
volatile
security definer
set search_path = public, pg_temp
as $$
  select coalesce(extract(epoch from clock_timestamp() - min(since)), 0)::double precision
  from search_outbox
$$;

create function platform_forget_idempotency_keys(most integer)
returns bigint
language sql
volatile
security definer
set search_path = public, pg_temp
as $$
  with old as (
    select tenant_id, key
    from idempotency_key
    where created_at < now() - interval '48 hours'
    order by created_at
    limit most
    for update skip locked
  ),
  gone as (
    delete from idempotency_key k
    using old o
    where k.tenant_id = o.tenant_id
      and k.key = o.key
    returning 1
  )
  select count(*) from gone
$$;

grant execute on function
  platform_api_key(bytea),
  platform_tenants(),
  platform_due_entries(integer, double precision),
  platform_stale_leases(integer, double precision),
  platform_lead(text, text, double precision),
  platform_search_dirty(integer),
  platform_search_clear(text[], uuid[], bigint[]),
  platform_search_defer(text, uuid, bigint, text),
  platform_search_lag_seconds(),
  platform_forget_idempotency_keys(integer)
to :"platform";

insert into owner (id, level, slug, name) values ('operator', 'operator', 'operator', 'Operator');
