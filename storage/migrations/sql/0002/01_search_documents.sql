-- One row a conversation: its words and the facts filters see, for search where there is no Meilisearch. It refers to
-- no conversation: what is erased leaves here the same way it leaves any other index, through the outbox.
create table search_document (
  tenant_id text not null references tenant (id),
  conversation_id uuid not null,
  revision integer not null,
  started_ms bigint not null,
  words tsvector[] not null,
  texts jsonb not null,
  numbers jsonb not null,
  flags jsonb not null,
  unknown text[] not null,
  partial boolean not null,
  indexed_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, conversation_id)
);
comment on column search_document.words is
  'in parts, each within the 16,383 positions and 255 places a word that a tsvector keeps';
comment on column search_document.texts is 'name → {token equality compares: text as shown, or null when too long}';
comment on column search_document.partial is 'only the first 60,000 words can be found';

create index search_document_by_time on search_document (tenant_id, started_ms desc, conversation_id);
create index search_document_by_age on search_document (indexed_at);

-- Every word of a document and its tenant as one more, so that the index finds a tenant's documents without looking
-- at anybody else's. No word has a slash.
create function search_lexemes(tenant text, parts tsvector[]) returns tsvector
language plpgsql
immutable
parallel safe
as $$
declare
  found tsvector := array_to_tsvector(array['/' || tenant]);
  part tsvector;
begin
  foreach part in array parts loop
    found := found || strip(part);
  end loop;
  return found;
end
$$;

create index search_document_by_word on search_document using gin (search_lexemes(tenant_id, words))
  with (fastupdate = off);

call secure_tenant_table('search_document');
call open_to_platform_functions('search_document');

-- The one way to the full-text index. `@@` is not leakproof: under a policy Postgres would evaluate it row by row on
-- the whole tenant. Here the tenant is part of the statement instead, and nothing but ids comes out.
create function search_match(wanted tsquery) returns table (conversation_id uuid)
language sql
stable
security definer
set search_path = public, pg_temp
as $$
  select d.conversation_id
  from search_document d
  where d.tenant_id = current_tenant()
    and search_lexemes(d.tenant_id, d.words) @@ (quote_literal('/' || current_tenant())::tsquery && wanted)
$$;

grant execute on function search_lexemes(text, tsvector[]) to :"app", :"platform";
grant execute on function search_match(tsquery) to :"app";

-- -- for the one writer, of all tenants

create function platform_search_documents() returns bigint
language sql
stable
security definer
set search_path = public, pg_temp
as $$
  select count(*)
  from search_document
$$;

-- What a rebuild did not touch.
create function platform_search_sweep(before timestamptz, most integer) returns bigint
language sql
volatile
security definer
set search_path = public, pg_temp
as $$
  with old as (
    select tenant_id, conversation_id
    from search_document
    where indexed_at < before
    limit most
    for update skip locked
  ),
  gone as (
    delete from search_document d
    using old o
    where d.tenant_id = o.tenant_id
      and d.conversation_id = o.conversation_id
    returning 1
  )
  select count(*) from gone
$$;

create function platform_search_clock() returns timestamptz
language sql
volatile
as $$
  select clock_timestamp()
$$;

grant execute on function
  platform_search_documents(),
  platform_search_sweep(timestamptz, integer),
  platform_search_clock()
to :"platform";
