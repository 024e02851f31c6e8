-- operator → partner → tenant. An owner is any of the three; configuration belongs to one and is seen by those below.
create table owner (
  id text primary key check (id = 'operator' or id ~ '^[0-9a-f]{32}$'),
  level text not null check (level in ('operator', 'partner', 'tenant')),
  parent_id text references owner (id),
  slug text not null check (slug ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
  name text not null,
  created_at timestamptz not null default now(),
  unique (id, level),
  unique (level, slug),
  check ((level = 'operator') = (id = 'operator')),
  check ((level = 'operator') = (parent_id is null))
);

create table tenant (
  id text primary key references owner (id) check (id ~ '^[0-9a-f]{32}$'),
  slug text not null unique,
  name text not null,
  cell text not null,
  time_zone text not null,
  languages text[] not null,
  partner_id text not null references owner (id),
  state text not null default 'active' check (state in ('active', 'suspended', 'closing', 'erased')),
  external_languages text[] not null default '{}',
  allowed_engines text[],
  language_model text,
  transcription text,
  audio_retention_days integer not null check (audio_retention_days > 0),
  text_retention_days integer not null check (text_retention_days > 0),
  insight_retention_days integer not null check (insight_retention_days > 0),
  created_at timestamptz not null default now()
);
comment on column tenant.partner_id is 'the partner, or operator for a tenant the operator hosts itself';
comment on column tenant.allowed_engines is 'null: every engine that is configured';
comment on column tenant.language_model is 'engine of tasks that name none; null: the nearest one configured';

-- Every tenant has all five, so nothing is unlimited by accident.
create table tenant_limit (
  tenant_id text not null references tenant (id),
  kind text not null check (kind in ('conversations', 'audio_minutes', 'requests', 'tokens', 'cost_usd')),
  warn_at double precision not null check (warn_at >= 0),
  stop_at double precision not null check (stop_at >= warn_at and stop_at < 'infinity'),
  primary key (tenant_id, kind)
);
comment on table tenant_limit is 'per calendar month in the tenant''s time zone';

-- The tenant's content keys, each wrapped by a master key that is not in the database.
create table tenant_key (
  tenant_id text not null references tenant (id),
  version integer not null check (version > 0),
  master_key_id text not null,
  wrapped bytea not null,
  created_at timestamptz not null default now(),
  primary key (tenant_id, version)
);

create table api_key (
  id uuid primary key,
  tenant_id text references tenant (id),
  partner_id text references owner (id),
  name text not null,
  key_hash bytea not null unique check (octet_length(key_hash) = 32),
  scopes text[] not null check (scopes <@ array['ingest', 'read', 'configure', 'operate']),
  created_at timestamptz not null default now(),
  expires_at timestamptz,
  revoked_at timestamptz,
  check (tenant_id is null or partner_id is null)
);
comment on column api_key.key_hash is 'SHA-256 of a random key of 256 bits';
create index api_key_of_tenant on api_key (tenant_id);

create table user_account (
  tenant_id text not null references tenant (id),
  id uuid not null,
  email text not null,
  name text not null,
  role text not null check (role in (
    'operator', 'partner_admin', 'tenant_admin', 'supervisor', 'analyst', 'viewer', 'auditor'
  )),
  password_hash text,
  oidc_issuer text,
  oidc_subject text,
  state text not null default 'active' check (state in ('active', 'locked', 'gone')),
  created_at timestamptz not null default now(),
  primary key (tenant_id, id),
  unique (tenant_id, email),
  unique (tenant_id, oidc_issuer, oidc_subject)
);
comment on column user_account.password_hash is 'argon2; null for people who come by OIDC';

create table agent (
  tenant_id text not null references tenant (id),
  id uuid not null,
  name text not null,
  user_id uuid,
  active boolean not null default true,
  created_at timestamptz not null default now(),
  primary key (tenant_id, id),
  foreign key (tenant_id, user_id) references user_account (tenant_id, id)
);

create table agent_identity (
  tenant_id text not null,
  source text not null,
  external_id text not null,
  agent_id uuid not null,
  primary key (tenant_id, source, external_id),
  foreign key (tenant_id, agent_id) references agent (tenant_id, id) on delete cascade
);

create table agent_group (
  tenant_id text not null references tenant (id),
  id uuid not null,
  name text not null,
  parent_id uuid,
  created_at timestamptz not null default now(),
  primary key (tenant_id, id),
  unique (tenant_id, name),
  foreign key (tenant_id, parent_id) references agent_group (tenant_id, id)
);

create table group_membership (
  tenant_id text not null,
  group_id uuid not null,
  agent_id uuid not null,
  joined_on date not null,
  left_on date check (left_on > joined_on),
  primary key (tenant_id, group_id, agent_id, joined_on),
  foreign key (tenant_id, group_id) references agent_group (tenant_id, id) on delete cascade,
  foreign key (tenant_id, agent_id) references agent (tenant_id, id) on delete cascade
);
create index group_membership_of_agent on group_membership (tenant_id, agent_id);

create table group_supervisor (
  tenant_id text not null,
  group_id uuid not null,
  user_id uuid not null,
  primary key (tenant_id, group_id, user_id),
  foreign key (tenant_id, group_id) references agent_group (tenant_id, id) on delete cascade,
  foreign key (tenant_id, user_id) references user_account (tenant_id, id) on delete cascade
);

-- -- who may see what

alter table tenant enable row level security;
alter table tenant force row level security;
create policy tenant on tenant using (id = current_tenant()) with check (id = current_tenant());
grant select on tenant to :"app";
call open_to_platform_functions('tenant');

-- The tenant, its partner and the operator: whose configuration it sees.
create function visible_owners() returns text[]
language sql
stable
parallel safe
as $$
  select array[t.id, t.partner_id, 'operator']
  from tenant t
  where t.id = current_tenant()
$$;
grant execute on function visible_owners() to public;

alter table owner enable row level security;
alter table owner force row level security;
create policy visible on owner for select using (id = any ((select visible_owners())::text[]));
grant select on owner to :"app";
call open_to_platform_functions('owner');

call secure_tenant_table('tenant_limit', 'select');
call open_to_platform_functions('tenant_limit');
call secure_tenant_table('tenant_key', 'select, insert, update (wrapped, master_key_id)');
call secure_tenant_table('api_key', 'select, insert, update (revoked_at, name)');
call open_to_platform_functions('api_key');
call secure_tenant_table('user_account');
call secure_tenant_table('agent');
call secure_tenant_table('agent_identity');
call secure_tenant_table('agent_group');
call secure_tenant_table('group_membership');
call secure_tenant_table('group_supervisor');
