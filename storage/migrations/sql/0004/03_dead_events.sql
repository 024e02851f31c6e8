-- A dead letter is about a run of a conversation, or about an event no conversation could be made of.
alter table dead_letter
  alter column conversation_id drop not null,
  alter column revision drop not null,
  alter column entry drop not null,
  add column event_id uuid,
  add foreign key (tenant_id, event_id) references source_event (tenant_id, id) on delete cascade not valid,
  add constraint dead_letter_subject check (
    num_nonnulls(conversation_id, event_id) = 1
    and num_nonnulls(conversation_id, revision, entry) in (0, 3)
  );
create unique index dead_letter_of_event on dead_letter (tenant_id, event_id)
  where redriven_at is null and event_id is not null;
