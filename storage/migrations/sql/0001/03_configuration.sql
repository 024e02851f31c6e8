-- Inherited configuration: everyone sees its own rows and its ancestors', siblings see nothing of each other, and
-- each level writes its own rows only.
create procedure secure_inherited_table(target regclass, privileges text default 'select, insert, update, delete')
language plpgsql
as $$
begin
  execute format('alter table %s enable row level security', target);
  execute format('alter table %s force row level security', target);
  execute format(
    'create policy visible on %s for select using (owner_id = any ((select visible_owners())::text[]))', target
  );
  execute format(
    'create policy add on %s for insert with check (owner_id = current_tenant())', target
  );
  execute format(
    'create policy change on %s for update using (owner_id = current_tenant()) with check (owner_id = current_tenant())',
    target
  );
  execute format('create policy remove on %s for delete using (owner_id = current_tenant())', target);
  execute format('grant %s on %s to %I', privileges, target, :'app');
  call open_to_platform_functions(target);
end
$$;

create table custom_field (
  id uuid primary key,
  owner_id text not null,
  owner_level text not null,
  key text not null check (key ~ '^[a-z][a-z0-9_]{0,62}$'),
  type text not null check (type in ('integer', 'decimal', 'choice', 'multi_choice', 'boolean', 'date', 'text')),
  label text not null,
  description text not null,
  options jsonb not null,
  minimum double precision,
  maximum double precision,
  max_length integer not null,
  thresholds jsonb not null,
  display_group text,
  editable boolean not null,
  sensitive boolean not null,
  aggregate text check (aggregate in ('average', 'distribution', 'count')),
  successor_id uuid references custom_field (id),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  unique (owner_id, key),
  foreign key (owner_id, owner_level) references owner (id, level)
);
comment on column custom_field.type is 'key, type and owner never change: the app role may not update them';

create table engine (
  id uuid primary key,
  owner_id text not null,
  owner_level text not null,
  name text not null,
  family text not null check (family in ('transcription', 'language_model')),
  kind text not null,
  model text not null,
  credentials text check (credentials ~ '^(env|file):'),
  endpoint text,
  region text,
  parameters jsonb not null,
  limits jsonb not null,
  price jsonb not null,
  external boolean not null,
  updated_at timestamptz not null default now(),
  unique (owner_id, name),
  foreign key (owner_id, owner_level) references owner (id, level)
);
comment on column engine.credentials is 'a reference, never a secret';

create table engine_health (
  engine_id uuid primary key references engine (id) on delete cascade,
  owner_id text not null references owner (id),
  state text not null check (state in ('closed', 'open', 'half_open')),
  failures bigint not null default 0,
  tested_at timestamptz,
  changed_at timestamptz not null default now(),
  detail text
);
comment on column engine_health.state is 'of the circuit breaker';

create table ai_task (
  id uuid primary key,
  owner_id text not null,
  owner_level text not null,
  slug text not null,
  label text not null,
  created_at timestamptz not null default now(),
  unique (owner_id, slug),
  foreign key (owner_id, owner_level) references owner (id, level)
);

create table task_version (
  task_id uuid not null references ai_task (id),
  id text not null check (id ~ '^[0-9a-f]{64}$'),
  owner_id text not null references owner (id),
  spec jsonb not null,
  state text not null check (state in ('draft', 'published', 'retired')),
  author text not null,
  reason text not null,
  created_at timestamptz not null,
  primary key (task_id, id)
);
comment on column task_version.id is 'hash of spec: the same content is the same version';

create table scorecard (
  id uuid primary key,
  owner_id text not null,
  owner_level text not null,
  slug text not null,
  label text not null,
  created_at timestamptz not null default now(),
  unique (owner_id, slug),
  foreign key (owner_id, owner_level) references owner (id, level)
);

create table scorecard_revision (
  scorecard_id uuid not null references scorecard (id),
  revision integer not null check (revision > 0),
  owner_id text not null references owner (id),
  form jsonb not null,
  author text not null,
  created_at timestamptz not null default now(),
  primary key (scorecard_id, revision)
);
comment on column scorecard_revision.form is 'sections, weighted questions, not-applicable and auto-fail rules';

create table template (
  id uuid primary key,
  owner_id text not null,
  owner_level text not null,
  kind text not null,
  name text not null,
  body jsonb not null,
  created_at timestamptz not null default now(),
  unique (owner_id, kind, name),
  foreign key (owner_id, owner_level) references owner (id, level)
);

call secure_inherited_table(
  'custom_field',
  'select, insert, update (label, description, options, minimum, maximum, max_length, thresholds, display_group,'
  ' editable, sensitive, aggregate, successor_id, updated_at)'
);
call secure_inherited_table(
  'engine',
  'select, insert, delete, update (kind, model, credentials, endpoint, region, parameters, limits, price, external,'
  ' updated_at)'
);
call secure_inherited_table('engine_health');
call secure_inherited_table('ai_task', 'select, insert, update (label)');
call secure_inherited_table('task_version', 'select, insert, update (state)');
call secure_inherited_table('scorecard', 'select, insert, update (label)');
call secure_inherited_table('scorecard_revision', 'select, insert');
call secure_inherited_table('template');

-- -- what a tenant makes of it

create table source (
  tenant_id text not null references tenant (id),
  id uuid not null,
  slug text not null check (slug ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
  channel text check (channel in ('call', 'chat', 'email', 'ticket')),
  mapping jsonb,
  time_zone text,
  settle_minutes integer not null default 0 check (settle_minutes >= 0),
  dedupe_key text,
  last_seen_at timestamptz,
  health text,
  created_at timestamptz not null default now(),
  primary key (tenant_id, id),
  unique (tenant_id, slug)
);
comment on column source.mapping is 'JMESPath expressions from the sender''s JSON to the canonical form';
call secure_tenant_table('source');

create table language_strategy (
  tenant_id text primary key references tenant (id),
  mode text not null check (mode in ('detect', 'configured', 'hint')),
  languages text[] not null default '{}',
  routes jsonb not null default '{}',
  fallback text[] not null default '{}',
  updated_at timestamptz not null default now()
);
comment on column language_strategy.routes is 'language tag → name of a transcription engine';
call secure_tenant_table('language_strategy');

create table task_activation (
  tenant_id text not null references tenant (id),
  task_id uuid not null,
  version_id text not null,
  override jsonb,
  activated_at timestamptz not null default now(),
  primary key (tenant_id, task_id),
  foreign key (task_id, version_id) references task_version (task_id, id)
);
comment on column task_activation.override is 'the whole effective spec when the tenant changed something';

-- Two active tasks may not fill one field: the primary key says so, whoever races.
create table activated_field (
  tenant_id text not null,
  field_key text not null,
  task_id uuid not null,
  primary key (tenant_id, field_key),
  foreign key (tenant_id, task_id) references task_activation (tenant_id, task_id) on delete cascade
);
call secure_tenant_table('activated_field');

-- A tenant activates what it sees: the subquery is under the task's own policy.
call secure_tenant_table('task_activation');
create policy visible_task on task_activation as restrictive for insert
  with check (exists (select from ai_task t where t.id = task_id));
