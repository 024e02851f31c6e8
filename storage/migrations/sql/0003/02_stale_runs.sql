-- Besides leases that nobody confirms: runs that Temporal was given and that never took a lease, for example because an
-- operator terminated them before their first stage.
create or replace function platform_stale_leases(most integer, older_than_seconds double precision)
returns table (tenant_id text, conversation_id uuid, revision integer, entry integer, lane text)
language sql
stable
security definer
set search_path = public, pg_temp
as $$
  with silent as (
    select l.tenant_id, l.conversation_id, l.revision, l.entry, e.lane, l.confirmed_at as since
    from conversation_lease l
    join conversation_entry e using (tenant_id, conversation_id, revision, entry)
    where l.released_at is null
      and l.confirmed_at <= now() - make_interval(secs => older_than_seconds)
  ),
  never_begun as (
    select e.tenant_id, e.conversation_id, e.revision, e.entry, e.lane, e.started_at as since
    from conversation_entry e
    where e.state = 'started'
      and e.started_at <= now() - make_interval(secs => older_than_seconds)
      and not exists (
        select
        from conversation_lease l
        where l.tenant_id = e.tenant_id
          and l.conversation_id = e.conversation_id
          and (l.revision, l.entry) >= (e.revision, e.entry)
      )
  )
  select s.tenant_id, s.conversation_id, s.revision, s.entry, s.lane
  from (select * from silent union all select * from never_begun) s
  order by s.since
  limit most
$$;

create index conversation_entry_started on conversation_entry (started_at) where state = 'started';
