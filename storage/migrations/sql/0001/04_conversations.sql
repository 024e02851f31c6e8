create table conversation (
  tenant_id text not null,
  id uuid not null,
  source text not null,
  external_id text not null check (length(external_id) between 1 and 400),
  interaction_id text,
  channel text not null check (channel in ('call', 'chat', 'email', 'ticket')),
  revision integer not null default 1 check (revision > 0),
  status text not null default 'received' check (status in (
    'received', 'processing', 'completed', 'completed_with_gaps', 'parked', 'failed'
  )),
  status_reason text,
  searchable boolean not null default false,
  started_at timestamptz not null,
  started_offset_minutes integer not null,
  ended_at timestamptz,
  received_at timestamptz not null default now(),
  duration_ms bigint,
  direction text check (direction in ('inbound', 'outbound', 'internal')),
  queue text,
  team text,
  campaign text,
  language text,
  tags text[] not null,
  dispositions text[] not null,
  metadata jsonb not null,
  participants jsonb not null,
  notes jsonb not null,
  closed boolean not null,
  content_key text not null,
  content_hash text not null,
  entries integer not null default 0,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (tenant_id, id),
  unique (tenant_id, source, external_id),
  foreign key (tenant_id, source) references source (tenant_id, slug)
) with (fillfactor = 80);
comment on column conversation.started_offset_minutes is 'offset from UTC in which the start was given';
comment on column conversation.entries is 'how many entries this revision has had';

create index conversation_by_time on conversation (tenant_id, started_at desc, id desc);
create index conversation_by_channel on conversation (tenant_id, channel, started_at desc, id desc);
create index conversation_by_status on conversation (tenant_id, status, started_at desc, id desc);
create index conversation_by_source on conversation (tenant_id, source, started_at desc, id desc);
-- What nobody has begun yet: its oldest row is the age of a tenant's backlog.
create index conversation_waiting on conversation (tenant_id, updated_at) where status = 'received';
create index conversation_by_interaction on conversation (tenant_id, interaction_id) where interaction_id is not null;

-- What was handed in, revision by revision: the same content never makes a second revision.
create table conversation_revision (
  tenant_id text not null,
  conversation_id uuid not null,
  revision integer not null,
  content_key text not null,
  content_hash text not null,
  received_at timestamptz not null default now(),
  primary key (tenant_id, conversation_id, revision),
  unique (tenant_id, conversation_id, content_hash),
  foreign key (tenant_id, conversation_id) references conversation (tenant_id, id) on delete cascade
);

-- Legs of one customer contact: who had it when, and how long the customer was on hold.
create table conversation_leg (
  tenant_id text not null,
  conversation_id uuid not null,
  number integer not null check (number > 0),
  participant_id text not null,
  agent_id uuid,
  queue text,
  started_at timestamptz not null,
  ended_at timestamptz,
  hold_ms bigint not null default 0,
  transferred_at timestamptz,
  primary key (tenant_id, conversation_id, number),
  foreign key (tenant_id, conversation_id) references conversation (tenant_id, id) on delete cascade,
  foreign key (tenant_id, agent_id) references agent (tenant_id, id)
);
create index conversation_leg_of_agent on conversation_leg (tenant_id, agent_id, started_at);

-- -- runs

create table conversation_entry (
  tenant_id text not null,
  conversation_id uuid not null,
  revision integer not null check (revision > 0),
  entry integer not null check (entry > 0),
  lane text not null check (lane in ('live', 'backfill')),
  channel text not null,
  enter_at text not null,
  task_ids uuid[] not null,
  transcription text,
  reason text,
  state text not null default 'pending' check (state in ('pending', 'started', 'closed')),
  not_before timestamptz,
  created_at timestamptz not null default now(),
  started_at timestamptz,
  closed_at timestamptz,
  temporal_run_id text,
  primary key (tenant_id, conversation_id, revision, entry),
  foreign key (tenant_id, conversation_id) references conversation (tenant_id, id) on delete cascade
) with (fillfactor = 80);

-- Of all tenants: the reconciler asks before it knows one.
create index conversation_entry_due on conversation_entry (coalesce(not_before, created_at)) where state = 'pending';

-- One row a conversation, kept for ever: the newest (revision, entry) that held it, so that an older one never does.
create table conversation_lease (
  tenant_id text not null,
  conversation_id uuid not null,
  revision integer not null,
  entry integer not null,
  held_at timestamptz not null default now(),
  confirmed_at timestamptz not null default now(),
  released_at timestamptz,
  primary key (tenant_id, conversation_id),
  foreign key (tenant_id, conversation_id, revision, entry)
    references conversation_entry (tenant_id, conversation_id, revision, entry) on delete cascade
) with (fillfactor = 70);

create index conversation_lease_stale on conversation_lease (confirmed_at) where released_at is null;

create table stage_state (
  tenant_id text not null,
  conversation_id uuid not null,
  revision integer not null,
  stage text not null check (stage in (
    'ingest', 'transcribe', 'normalize', 'plan', 'analyze', 'persist', 'index', 'deliver'
  )),
  entry integer not null,
  state text not null check (state in ('pending', 'running', 'completed', 'skipped', 'parked', 'failed')),
  attempts integer not null,
  started_at timestamptz,
  ended_at timestamptz,
  last_error text,
  primary key (tenant_id, conversation_id, revision, stage, entry),
  foreign key (tenant_id, conversation_id) references conversation (tenant_id, id) on delete cascade
) with (fillfactor = 70);

-- -- what was said

create table recording (
  tenant_id text not null,
  conversation_id uuid not null,
  revision integer not null,
  facts jsonb not null,
  engine text not null,
  language text,
  language_ground text not null,
  created_at timestamptz not null default now(),
  primary key (tenant_id, conversation_id, revision),
  foreign key (tenant_id, conversation_id) references conversation (tenant_id, id) on delete cascade
);

create table transcript (
  tenant_id text not null,
  id uuid not null,
  conversation_id uuid not null,
  revision integer not null,
  engine text not null,
  model text not null,
  language text,
  language_ground text not null,
  segments integer not null,
  duration_ms bigint not null,
  speakers_separated boolean not null,
  content_key text not null,
  content_hash text not null,
  notes jsonb not null,
  created_at timestamptz not null default now(),
  superseded_at timestamptz,
  primary key (tenant_id, id),
  foreign key (tenant_id, conversation_id) references conversation (tenant_id, id) on delete cascade
);
comment on column transcript.content_key is 'where its sealed words are';
create unique index transcript_current on transcript (tenant_id, conversation_id, revision)
  where superseded_at is null;

-- The redacted turns. The original ones and the map that leads back are sealed in the content store.
create table rendition (
  tenant_id text not null,
  conversation_id uuid not null,
  revision integer not null,
  turns jsonb not null,
  content_hash text not null,
  redactor text not null,
  detectors text[] not null,
  names_detected boolean not null,
  language text,
  sealed_key text not null,
  transcript_id uuid,
  notes jsonb not null,
  created_at timestamptz not null default now(),
  primary key (tenant_id, conversation_id, revision),
  foreign key (tenant_id, conversation_id) references conversation (tenant_id, id) on delete cascade
);

create table upload (
  tenant_id text not null references tenant (id),
  id uuid not null,
  size bigint not null check (size >= 0),
  sha256 text check (sha256 ~ '^[0-9a-f]{64}$'),
  media_type text not null,
  state text not null check (state in ('open', 'stored')),
  content_key text not null,
  created_at timestamptz not null,
  stored_at timestamptz,
  primary key (tenant_id, id)
);

call secure_tenant_table('conversation');
call secure_tenant_table('conversation_revision', 'select, insert, delete');
call secure_tenant_table('conversation_leg');
call secure_tenant_table('conversation_entry');
call open_to_platform_functions('conversation_entry');
call secure_tenant_table('conversation_lease');
call open_to_platform_functions('conversation_lease');
call secure_tenant_table('stage_state');
call secure_tenant_table('recording');
call secure_tenant_table('transcript', 'select, insert, delete, update (superseded_at)');
call secure_tenant_table('rendition');
call secure_tenant_table('upload');
