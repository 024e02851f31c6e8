-- A conversation that turned out to be a part of another one: it stays readable and is never written again. What it
-- was merged into cannot be erased while this row is there.
-- The reference holds from now on; rows from before have nothing to check, and the check would be behind the policy.
alter table conversation
  add column merged_into uuid,
  add column kept_notes jsonb not null default '[]',
  add foreign key (tenant_id, merged_into) references conversation (tenant_id, id) not valid;
comment on column conversation.kept_notes is 'notes that came with its pieces: they stay when a revision replaces notes';
create index conversation_merged_into on conversation (tenant_id, merged_into) where merged_into is not null;

-- Which message ids are known, and to which conversation they lead. `link` is the digest of a message id: the id may
-- be long, and holds a mailbox or a host.
create table thread_link (
  tenant_id text not null,
  source text not null,
  link bytea not null check (octet_length(link) = 32),
  conversation_id uuid not null,
  primary key (tenant_id, source, link),
  foreign key (tenant_id, conversation_id) references conversation (tenant_id, id) on delete cascade
);
create index thread_link_of_conversation on thread_link (tenant_id, conversation_id);
call secure_tenant_table('thread_link');
