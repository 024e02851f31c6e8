-- Nouns that have their place in the first schema and are filled by later work.

create table saved_search (
  tenant_id text not null references tenant (id),
  id uuid not null,
  name text not null,
  query jsonb not null,
  author text not null,
  shared boolean not null default false,
  created_at timestamptz not null default now(),
  primary key (tenant_id, id)
);

create table dashboard (
  tenant_id text not null references tenant (id),
  id uuid not null,
  name text not null,
  layout jsonb not null,
  author text not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (tenant_id, id)
);

create table webhook_subscription (
  tenant_id text not null references tenant (id),
  id uuid not null,
  url text not null,
  event_kinds text[] not null,
  secrets bytea[] not null,
  state text not null check (state in ('active', 'paused', 'gone')),
  created_at timestamptz not null default now(),
  primary key (tenant_id, id)
);
comment on column webhook_subscription.secrets is 'up to two live secrets, each sealed with the tenant''s key';

create table delivery (
  tenant_id text not null,
  id uuid not null,
  subscription_id uuid not null,
  event_kind text not null,
  conversation_id uuid not null,
  state text not null check (state in ('pending', 'delivered', 'failed')),
  attempts integer not null default 0,
  last_status integer,
  last_error text,
  created_at timestamptz not null default now(),
  delivered_at timestamptz,
  primary key (tenant_id, id),
  foreign key (tenant_id, subscription_id) references webhook_subscription (tenant_id, id) on delete cascade
);
create index delivery_of_subscription on delivery (tenant_id, subscription_id, created_at desc);

create table retention_policy (
  tenant_id text not null references tenant (id),
  id uuid not null,
  name text not null,
  filter text,
  audio_days integer check (audio_days > 0),
  text_days integer check (text_days > 0),
  insight_days integer check (insight_days > 0),
  priority integer not null default 0,
  created_at timestamptz not null default now(),
  primary key (tenant_id, id)
);

create table legal_hold (
  tenant_id text not null references tenant (id),
  id uuid not null,
  name text not null,
  filter text,
  conversation_ids uuid[] not null default '{}',
  author text not null,
  created_at timestamptz not null default now(),
  released_at timestamptz,
  primary key (tenant_id, id)
);

create table erasure (
  tenant_id text not null references tenant (id),
  id uuid not null,
  scope jsonb not null,
  requested_by text not null,
  requested_at timestamptz not null default now(),
  state text not null check (state in ('requested', 'running', 'done', 'refused')),
  finished_at timestamptz,
  report jsonb,
  primary key (tenant_id, id)
);

-- What was erased, without saying what it was. It outlives what it names, so it refers to nothing; a restore
-- replays it before it serves.
create table tombstone (
  tenant_id text not null,
  kind text not null check (kind in ('tenant', 'conversation', 'audio', 'text')),
  subject_id text not null,
  erased_at timestamptz not null default now(),
  erasure_id uuid,
  primary key (tenant_id, kind, subject_id)
);

call secure_tenant_table('saved_search');
call secure_tenant_table('dashboard');
call secure_tenant_table('webhook_subscription');
call secure_tenant_table('delivery');
call secure_tenant_table('retention_policy');
call secure_tenant_table('legal_hold');
call secure_tenant_table('erasure');
call secure_tenant_table('tombstone', 'select, insert');
