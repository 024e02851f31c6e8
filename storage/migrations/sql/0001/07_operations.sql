create table dead_letter (
  tenant_id text not null references tenant (id),
  id uuid not null,
  conversation_id uuid not null,
  revision integer not null,
  entry integer not null,
  stage text not null,
  error_type text not null,
  detail text not null,
  attempts integer not null,
  first_at timestamptz not null,
  last_at timestamptz not null,
  payload_key text,
  redriven_at timestamptz,
  redriven_entry integer,
  primary key (tenant_id, id),
  foreign key (tenant_id, conversation_id) references conversation (tenant_id, id) on delete cascade
);
create unique index dead_letter_open on dead_letter (tenant_id, conversation_id, revision, stage)
  where redriven_at is null;
create index dead_letter_by_time on dead_letter (tenant_id, last_at desc, id desc);

create table audit_event (
  tenant_id text not null references tenant (id),
  id uuid not null default gen_random_uuid(),
  at timestamptz not null default now(),
  actor text not null,
  action text not null,
  subject text not null,
  origin text,
  before jsonb,
  after jsonb,
  primary key (tenant_id, id)
);
create index audit_event_by_time on audit_event (tenant_id, at desc);
create index audit_event_by_subject on audit_event (tenant_id, subject, at desc);

create table idempotency_key (
  tenant_id text not null references tenant (id),
  key text not null,
  body_hash text not null,
  status integer not null,
  body bytea not null,
  created_at timestamptz not null default now(),
  primary key (tenant_id, key)
);
create index idempotency_key_by_age on idempotency_key (created_at);

-- Which conversations the search index has not seen yet: a set, not a sequence. `mark` grows with every change, so
-- clearing what was read earlier does not clear what came since. It refers to nothing: what is erased must leave the
-- index too.
create sequence outbox_mark;

create table search_outbox (
  tenant_id text not null,
  conversation_id uuid not null,
  mark bigint not null default nextval('outbox_mark'),
  since timestamptz not null default clock_timestamp(),
  due_at timestamptz not null default clock_timestamp(),
  attempts integer not null default 0,
  last_error text,
  primary key (tenant_id, conversation_id)
) with (fillfactor = 70);
create index search_outbox_due on search_outbox (due_at);
create index search_outbox_since on search_outbox (since);

create table event_outbox (
  tenant_id text not null,
  conversation_id uuid not null,
  kind text not null,
  mark bigint not null default nextval('outbox_mark'),
  since timestamptz not null default clock_timestamp(),
  due_at timestamptz not null default clock_timestamp(),
  attempts integer not null default 0,
  last_error text,
  primary key (tenant_id, conversation_id, kind)
) with (fillfactor = 70);
create index event_outbox_due on event_outbox (due_at);

-- One leader a job. No tenant: only platform functions touch it.
create table leader (
  name text primary key,
  holder text not null,
  expires_at timestamptz not null
);

grant usage on sequence outbox_mark to :"app";
call secure_tenant_table('dead_letter');
call secure_tenant_table('audit_event', 'select, insert');
call secure_tenant_table('idempotency_key', 'select, insert, delete');
call open_to_platform_functions('idempotency_key');
call secure_tenant_table('search_outbox');
call open_to_platform_functions('search_outbox');
call secure_tenant_table('event_outbox');
call open_to_platform_functions('event_outbox');
