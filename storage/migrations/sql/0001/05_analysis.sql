-- Tasks, fields and engines are named here without foreign keys: each insert would lock those few shared rows, and
-- they are never deleted.

create table task_run (
  tenant_id text not null,
  id uuid not null,
  conversation_id uuid not null,
  revision integer not null,
  entry integer not null,
  task_id uuid not null,
  task_slug text not null,
  task_version text not null,
  engine text,
  input_hash text not null,
  state text not null check (state in ('planned', 'ran', 'skipped', 'failed', 'parked')),
  reason text,
  detail text,
  attempts integer not null,
  engine_calls uuid[] not null,
  job_id uuid,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (tenant_id, id),
  unique (tenant_id, conversation_id, revision, task_id, input_hash, entry),
  foreign key (tenant_id, conversation_id) references conversation (tenant_id, id) on delete cascade
) with (fillfactor = 80);
create index task_run_gap on task_run (tenant_id, state, updated_at) where state in ('failed', 'parked');

-- Validated values on their way from analyze to persist.
create table task_answer (
  tenant_id text not null,
  task_run_id uuid not null,
  field_values jsonb not null,
  recorded_at timestamptz not null default now(),
  primary key (tenant_id, task_run_id),
  foreign key (tenant_id, task_run_id) references task_run (tenant_id, id) on delete cascade
);

create table engine_call (
  tenant_id text not null,
  id uuid not null,
  request_hash text not null,
  conversation_id uuid not null,
  engine text not null,
  model text not null,
  outcome text not null check (outcome in ('answered', 'failed')),
  requests bigint not null,
  input_tokens bigint not null,
  output_tokens bigint not null,
  cached_tokens bigint not null,
  thinking_tokens bigint not null,
  audio_ms bigint not null,
  cost_usd double precision not null,
  latency_ms bigint not null,
  answer text,
  error_code text,
  created_at timestamptz not null default now(),
  primary key (tenant_id, id),
  foreign key (tenant_id, conversation_id) references conversation (tenant_id, id) on delete cascade
);
comment on column engine_call.answer is 'as the model gave it, of redacted input';
create unique index engine_call_answered on engine_call (tenant_id, request_hash) where outcome = 'answered';
create index engine_call_of_conversation on engine_call (tenant_id, conversation_id);

-- Immutable, but for being superseded or stale. `value` is the exact value; the typed columns are for filters, and
-- hold numbers as double precision because comparison of numeric is not leakproof.
create table field_value (
  tenant_id text not null,
  id uuid not null,
  conversation_id uuid not null,
  revision integer not null,
  subject text not null check (subject in ('conversation', 'participant')),
  subject_id text not null,
  field_id uuid not null,
  field_key text not null,
  layer text not null check (layer in ('ai', 'human')),
  kind text not null check (kind in ('stated', 'inferred', 'unknown')),
  value jsonb,
  number_value double precision,
  choice_value text,
  choices_value text[],
  boolean_value boolean,
  date_value date,
  explanation text not null,
  evidence jsonb not null,
  evidence_state text not null check (evidence_state in ('verified', 'unsupported', 'none')),
  evidence_revision integer,
  task_id uuid,
  task_version text,
  engine text,
  model text,
  input_hash text,
  run_id uuid,
  call_group text,
  turns_read integer not null,
  turns_total integer not null,
  stale boolean not null,
  author text,
  created_at timestamptz not null,
  superseded_at timestamptz,
  primary key (tenant_id, id),
  foreign key (tenant_id, conversation_id) references conversation (tenant_id, id) on delete cascade,
  check ((kind = 'unknown') = (value is null))
);
create unique index field_value_current
  on field_value (tenant_id, conversation_id, subject, subject_id, field_id, layer)
  where superseded_at is null;
create index field_value_history on field_value (tenant_id, conversation_id, field_key, created_at desc);
-- A value is in exactly one of these.
create index field_value_by_number on field_value (tenant_id, field_id, number_value, conversation_id)
  where superseded_at is null and number_value is not null;
create index field_value_by_choice on field_value (tenant_id, field_id, choice_value, conversation_id)
  where superseded_at is null and choice_value is not null;
create index field_value_by_boolean on field_value (tenant_id, field_id, boolean_value, conversation_id)
  where superseded_at is null and boolean_value is not null;
create index field_value_by_date on field_value (tenant_id, field_id, date_value, conversation_id)
  where superseded_at is null and date_value is not null;

create table value_feedback (
  tenant_id text not null,
  id uuid not null,
  value_id uuid not null,
  verdict text not null check (verdict in ('right', 'wrong', 'unsure')),
  comment text,
  author text not null,
  created_at timestamptz not null default now(),
  primary key (tenant_id, id),
  foreign key (tenant_id, value_id) references field_value (tenant_id, id) on delete cascade
);
create index value_feedback_of_value on value_feedback (tenant_id, value_id);

create table evaluation (
  tenant_id text not null,
  id uuid not null,
  conversation_id uuid not null,
  subject_id text not null,
  agent_id uuid,
  scorecard_id uuid not null,
  scorecard_revision integer not null,
  kind text not null check (kind in ('automatic', 'human')),
  state text not null check (state in ('draft', 'submitted', 'disputed', 'acknowledged')),
  score double precision,
  auto_failed boolean not null default false,
  author text not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (tenant_id, id),
  foreign key (tenant_id, conversation_id) references conversation (tenant_id, id) on delete cascade,
  foreign key (tenant_id, agent_id) references agent (tenant_id, id),
  foreign key (scorecard_id, scorecard_revision) references scorecard_revision (scorecard_id, revision)
);
comment on column evaluation.subject_id is 'the participant: the agent''s leg';
create index evaluation_of_conversation on evaluation (tenant_id, conversation_id);
create index evaluation_of_agent on evaluation (tenant_id, agent_id, created_at);

create table evaluation_answer (
  tenant_id text not null,
  evaluation_id uuid not null,
  question text not null,
  answer jsonb,
  not_applicable boolean not null default false,
  rationale text not null default '',
  evidence jsonb not null default '[]',
  primary key (tenant_id, evaluation_id, question),
  foreign key (tenant_id, evaluation_id) references evaluation (tenant_id, id) on delete cascade
);

-- What runs tasks: continuously, on a schedule, or over what is already there.
create table assistant_job (
  tenant_id text not null references tenant (id),
  id uuid not null,
  name text not null,
  filter text,
  task_ids uuid[] not null,
  mode text not null check (mode in ('continuous', 'scheduled', 'backfill')),
  schedule text,
  window_minutes integer,
  backfill text check (backfill in ('only_missing', 'changed_version', 'replace')),
  lane text not null check (lane in ('live', 'backfill')),
  concurrency integer not null check (concurrency > 0),
  budget_usd double precision,
  state text not null check (state in ('running', 'paused', 'finished')),
  progress jsonb not null default '{}',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (tenant_id, id),
  unique (tenant_id, name),
  check ((mode = 'scheduled') = (schedule is not null)),
  check ((mode = 'backfill') = (backfill is not null))
);
comment on column assistant_job.schedule is 'cron, in the tenant''s time zone';

call secure_tenant_table('task_run');
call secure_tenant_table('task_answer');
call secure_tenant_table('engine_call', 'select, insert, delete, update (answer)');
call secure_tenant_table('field_value', 'select, insert, delete, update (superseded_at, stale)');
call secure_tenant_table('value_feedback');
call secure_tenant_table('evaluation');
call secure_tenant_table('evaluation_answer');
call secure_tenant_table('assistant_job');
