-- What is imported waits in a lane of its own: its age says nothing about live traffic, and the reconciler leaves it to
-- the dispatcher, who starts it paced.
alter table conversation
  add column lane text not null default 'live' check (lane in ('live', 'backfill'));
comment on column conversation.lane is 'of its newest entry';

drop index conversation_waiting;
create index conversation_waiting on conversation (tenant_id, updated_at)
  where status = 'received' and lane = 'live';

drop index conversation_entry_due;
create index conversation_entry_due on conversation_entry (coalesce(not_before, created_at))
  where state = 'pending' and lane = 'live';

create index conversation_entry_paced on conversation_entry (tenant_id, coalesce(not_before, created_at))
  where state = 'pending' and lane = 'backfill';
create index conversation_entry_paced_open on conversation_entry (tenant_id)
  where state = 'started' and lane = 'backfill';

create or replace function platform_due_entries(most integer, older_than_seconds double precision)
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
    and e.lane = 'live'
    and coalesce(e.not_before, e.created_at) <= now()
    and e.created_at <= now() - make_interval(secs => older_than_seconds)
  order by coalesce(e.not_before, e.created_at)
  limit most
$$;

-- Tenants with work in the paced lane: one look into an index each.
create function platform_paced_tenants()
returns table (tenant_id text)
language sql
stable
security definer
set search_path = public, pg_temp
as $$
  select t.id
  from tenant t
  where t.state = 'active'
    and exists (
      select
      from conversation_entry e
      where e.tenant_id = t.id
        and e.state = 'pending'
        and e.lane = 'backfill'
        and coalesce(e.not_before, e.created_at) <= now()
    )
  order by t.id
$$;

revoke execute on function platform_paced_tenants() from public;
grant execute on function platform_paced_tenants() to :"platform";
