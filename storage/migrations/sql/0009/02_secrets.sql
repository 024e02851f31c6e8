-- Engines' secrets, sealed: a tenant's with its own data key, so that they go with the tenant; the operator's and
-- partners' with a master key. Written by those they belong to, read by no role: workers ask for one by its engine.
create table engine_secret (
  owner_id text not null,
  owner_level text not null,
  name text not null check (name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
  key_version integer,
  master_key_id text,
  sealed bytea not null,
  changed_at timestamptz not null default now(),
  primary key (owner_id, name),
  foreign key (owner_id, owner_level) references owner (id, level),
  check ((owner_level = 'tenant') = (key_version is not null)),
  check ((owner_level = 'tenant') = (master_key_id is null))
);
comment on column engine_secret.key_version is 'of the tenant''s key that sealed it';

call secure_inherited_table(
  'engine_secret',
  'select (owner_id, owner_level, name, changed_at), insert, update (key_version, sealed, changed_at)'
);

alter table engine drop constraint engine_credentials_check;
alter table engine add constraint engine_credentials_check check (credentials ~ '^(env|file|db):');

-- Only an engine's own level's secret, whatever the reference says.
create function platform_engine_secret(engine uuid, secret_name text)
returns table (owner_id text, owner_level text, key_version integer, master_key_id text, sealed bytea)
language sql
stable
security definer
set search_path = public, pg_temp
as $$
  select s.owner_id, s.owner_level, s.key_version, s.master_key_id, s.sealed
  from engine e
  join engine_secret s on s.owner_id = e.owner_id and s.name = secret_name
  where e.id = engine
$$;

create function platform_put_engine_secret(of_owner text, secret_name text, master_key text, sealed_secret bytea)
returns void
language sql
volatile
security definer
set search_path = public, pg_temp
as $$
  insert into engine_secret (owner_id, owner_level, name, master_key_id, sealed)
  select o.id, o.level, secret_name, master_key, sealed_secret
  from owner o
  where o.id = of_owner
    and o.level <> 'tenant'
  on conflict (owner_id, name) do update
    set master_key_id = excluded.master_key_id, sealed = excluded.sealed, changed_at = now()
$$;
