-- A call may answer several tasks, and a task may need several calls: each is found by what was asked in it.
alter table engine_call add column parts text[] not null default '{}';
comment on column engine_call.parts is 'hashes of what was asked, one for each task';

-- A value may rest on words that nobody said, and a conversation may hold orders to a model.
alter table field_value
  add column searched jsonb,
  add column suspect_turns integer[] not null default '{}',
  drop constraint field_value_evidence_state_check,
  add constraint field_value_evidence_state_check
    check (evidence_state in ('verified', 'searched', 'unsupported', 'none'));
comment on column field_value.searched is 'turns and words that were searched in vain: the ground of an absence';
comment on column field_value.suspect_turns is 'turns that hold instructions to a model';
comment on column field_value.call_group is 'the engine call that answered this value together with others';
