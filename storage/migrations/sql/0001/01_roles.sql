-- The two roles Parley runs as. In a cluster the operator creates them with passwords beforehand; here they are
-- made without login when they are missing and this role may do so.
do $$
declare
  wanted text;
begin
  foreach wanted in array array[:'app', :'platform'] loop
    if not exists (select from pg_roles where rolname = wanted) then
      begin
        execute format('create role %I nologin nosuperuser nobypassrls', wanted);
      exception
        when insufficient_privilege then
          raise exception 'role % does not exist and may not be created here', wanted
            using hint = 'Create it as an administrator, then migrate again.';
      end;
    end if;
  end loop;
end
$$;

revoke create on schema public from public;
grant usage on schema public to :"app", :"platform";

-- Functions are for those they are granted to, also those of later migrations.
alter default privileges revoke execute on functions from public;


-- The tenant of the running transaction. Every policy calls it. A custom setting that was never set is null on a
-- fresh connection and '' on one that has been used before: both mean that nobody said which tenant.
create function current_tenant() returns text
language plpgsql
stable
parallel safe
as $$
declare
  tenant text := current_setting('parley.tenant_id', true);
begin
  if tenant is null or tenant = '' then
    raise exception 'no tenant is set for this transaction'
      using errcode = 'insufficient_privilege';
  end if;
  return tenant;
end
$$;

grant execute on function current_tenant() to public;


-- What every table with a tenant_id goes through: row-level security, enabled and forced, and the app role's grants.
-- Columns that never change are left out of `privileges`, e.g. 'select, insert, update (stale)'.
create procedure secure_tenant_table(target regclass, privileges text default 'select, insert, update, delete')
language plpgsql
as $$
begin
  execute format('alter table %s enable row level security', target);
  execute format('alter table %s force row level security', target);
  execute format(
    'create policy tenant on %s using (tenant_id = current_tenant()) with check (tenant_id = current_tenant())',
    target
  );
  execute format('grant %s on %s to %I', privileges, target, :'app');
end
$$;


-- A table of ids and leases only, which platform functions look through before a tenant is known. They run as the
-- owner of the schema; forced row-level security holds for the owner too, so it needs a policy of its own.
create procedure open_to_platform_functions(target regclass)
language plpgsql
as $$
begin
  execute format('create policy platform_functions on %s to %I using (true) with check (true)', target, current_user);
end
$$;
