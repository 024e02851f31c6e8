create function seconds_since(at timestamptz) returns double precision
language sql
volatile
as $$
  select coalesce(extract(epoch from clock_timestamp() - at), 0)::double precision
$$;

-- What waits, is parked or was given up, over all tenants: numbers only. Tables that may be seen with a tenant set are
-- looked at one tenant after the other, with that tenant set, so no wall has a door in it; afterwards none is set.
create function platform_figures()
returns table (what text, name text, number bigint, age_seconds double precision)
language plpgsql
volatile
security definer
set search_path = public, pg_temp
as $$
declare
  one text;
begin
  for one in select t.id from tenant t where t.state <> 'erased' order by t.id loop
    perform set_config('parley.tenant_id', one, true);
    return query
      select 'backlog', one, count(*), seconds_since(min(c.updated_at))
      from conversation c
      where c.tenant_id = one
        and c.status = 'received'
      having count(*) > 0
      union all
      select 'parked', coalesce(c.status_reason, ''), count(*), 0::double precision
      from conversation c
      where c.tenant_id = one
        and c.status = 'parked'
      group by c.status_reason
      union all
      select 'dead_letters', d.stage, count(*), 0::double precision
      from dead_letter d
      where d.tenant_id = one
        and d.redriven_at is null
      group by d.stage;
  end loop;
  perform set_config('parley.tenant_id', '', true);
  return query
    select 'search_outbox', '', count(*), seconds_since(min(o.since))
    from search_outbox o
    union all
    select 'event_outbox', '', count(*), seconds_since(min(o.since))
    from event_outbox o
    union all
    select 'due', '', count(*), seconds_since(min(coalesce(e.not_before, e.created_at)))
    from conversation_entry e
    where e.state = 'pending'
      and coalesce(e.not_before, e.created_at) <= now();
end
$$;

create index conversation_parked on conversation (tenant_id, status_reason) where status = 'parked';

revoke execute on function platform_figures() from public;
grant execute on function platform_figures() to :"platform";
