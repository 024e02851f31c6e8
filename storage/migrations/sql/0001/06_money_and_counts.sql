-- Nothing here is counted up in place: events and deltas are appended and folded later, so no row is hot.

create table usage_event (
  tenant_id text not null,
  id uuid not null,
  task_id uuid,
  engine text not null,
  at timestamptz not null,
  requests bigint not null,
  input_tokens bigint not null,
  output_tokens bigint not null,
  cached_tokens bigint not null,
  thinking_tokens bigint not null,
  audio_ms bigint not null,
  cost_usd double precision not null,
  price_version text not null,
  corrects uuid,
  primary key (tenant_id, id)
);
comment on column usage_event.corrects is 'the event this one corrects; no event is ever changed';
create index usage_event_by_time on usage_event (tenant_id, at);

create table budget (
  tenant_id text not null references tenant (id),
  id uuid not null,
  name text not null,
  scope jsonb not null,
  amount_usd double precision not null check (amount_usd >= 0 and amount_usd < 'infinity'),
  warn_share double precision not null check (warn_share between 0 and 1),
  period text not null check (period in ('day', 'week', 'month', 'once')),
  created_at timestamptz not null default now(),
  primary key (tenant_id, id),
  unique (tenant_id, name)
);
comment on column budget.scope is 'which tasks, engines or job it covers';

create table budget_reservation (
  tenant_id text not null,
  id uuid not null,
  budget_id uuid not null,
  reserved_usd double precision not null check (reserved_usd >= 0),
  settled_usd double precision,
  reserved_at timestamptz not null default now(),
  settled_at timestamptz,
  primary key (tenant_id, id),
  foreign key (tenant_id, budget_id) references budget (tenant_id, id) on delete cascade
);
create index budget_reservation_of_budget on budget_reservation (tenant_id, budget_id, reserved_at);

create table rollup_delta (
  tenant_id text not null,
  id bigint generated always as identity,
  field_id uuid not null,
  bucket timestamptz not null,
  option text,
  count bigint not null,
  total double precision,
  primary key (tenant_id, id)
);
comment on column rollup_delta.bucket is 'start of 15 minutes, UTC';

create table rollup (
  tenant_id text not null,
  field_id uuid not null,
  bucket timestamptz not null,
  option text not null default '',
  count bigint not null,
  total double precision,
  primary key (tenant_id, field_id, bucket, option)
);
comment on table rollup is 'deltas folded; days are cut in the tenant''s time zone when read';

call secure_tenant_table('usage_event', 'select, insert');
call secure_tenant_table('budget');
call secure_tenant_table('budget_reservation');
call secure_tenant_table('rollup_delta', 'select, insert, delete');
call secure_tenant_table('rollup');
