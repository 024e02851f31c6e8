-- What is changed above the tenants, by whom: before and after. Seen by its own level only, changed by nobody.
create table owner_audit_event (
  owner_id text not null references owner (id),
  id uuid not null default gen_random_uuid(),
  at timestamptz not null default now(),
  actor text not null,
  action text not null,
  subject text not null,
  origin text,
  before jsonb,
  after jsonb,
  primary key (owner_id, id)
);
create index owner_audit_event_by_time on owner_audit_event (owner_id, at desc);
alter table owner_audit_event enable row level security;
alter table owner_audit_event force row level security;
create policy own on owner_audit_event for select using (owner_id = current_tenant());
grant select on owner_audit_event to :"app";
call open_to_platform_functions('owner_audit_event');

-- The operator's or a partner's engines.
create function platform_engines(of_owner text)
returns setof engine
language sql
stable
security definer
set search_path = public, pg_temp
as $$
  select *
  from engine
  where owner_id = of_owner
    and owner_level <> 'tenant'
  order by name
$$;

-- `spec` is the JSON form of domain.engine.EngineConfig. By id; false when name, family or owner would change, or the
-- name is taken.
create function platform_put_engine(of_owner text, spec jsonb)
returns boolean
language sql
volatile
security definer
set search_path = public, pg_temp
as $$
  with kept as (
    insert into engine as e (
      id, owner_id, owner_level, name, family, kind, model, credentials, endpoint, region, parameters, limits, price,
      external
    )
    select (spec ->> 'id')::uuid, o.id, o.level, spec ->> 'name', spec ->> 'family', spec ->> 'kind', spec ->> 'model',
      spec ->> 'credentials', spec ->> 'endpoint', spec ->> 'region', spec -> 'parameters', spec -> 'limits',
      spec -> 'price', (spec ->> 'external')::boolean
    from owner o
    where o.id = of_owner
      and o.level <> 'tenant'
    on conflict (id) do update
      set kind = excluded.kind,
          model = excluded.model,
          credentials = excluded.credentials,
          endpoint = excluded.endpoint,
          region = excluded.region,
          parameters = excluded.parameters,
          limits = excluded.limits,
          price = excluded.price,
          external = excluded.external,
          updated_at = now()
      where e.name = excluded.name
        and e.family = excluded.family
        and e.owner_id = excluded.owner_id
    returning 1
  )
  select exists (select from kept)
$$;

create function platform_audit(
  of_owner text, who text, what text, about text, came_from text, was jsonb, became jsonb
)
returns void
language sql
volatile
security definer
set search_path = public, pg_temp
as $$
  insert into owner_audit_event (owner_id, actor, action, subject, origin, before, after)
  values (of_owner, who, what, about, came_from, nullif(was, 'null'), nullif(became, 'null'))
$$;

-- -- regions

alter table tenant add column allowed_regions text[];
comment on column tenant.allowed_regions is 'null: every region; else an engine outside must be in one of these';

create or replace function platform_change_tenant(of_tenant text, change jsonb)
returns setof tenant
language sql
volatile
security definer
set search_path = public, pg_temp
as $$
  update tenant
  set name = coalesce(change ->> 'name', name),
      time_zone = coalesce(change ->> 'time_zone', time_zone),
      languages = case
        when jsonb_typeof(change -> 'languages') = 'array'
        then array(select jsonb_array_elements_text(change -> 'languages'))
        else languages
      end,
      external_languages = case
        when jsonb_typeof(change -> 'external_languages') = 'array'
        then array(select jsonb_array_elements_text(change -> 'external_languages'))
        else external_languages
      end,
      allowed_engines = case
        when not change ? 'allowed_engines' then allowed_engines
        when jsonb_typeof(change -> 'allowed_engines') = 'array'
        then array(select jsonb_array_elements_text(change -> 'allowed_engines'))
      end,
      allowed_regions = case
        when not change ? 'allowed_regions' then allowed_regions
        when jsonb_typeof(change -> 'allowed_regions') = 'array'
        then array(select jsonb_array_elements_text(change -> 'allowed_regions'))
      end,
      language_model = case when change ? 'language_model' then change ->> 'language_model' else language_model end,
      transcription = case when change ? 'transcription' then change ->> 'transcription' else transcription end
  where id = of_tenant
  returning *
$$;

-- `spec` is the JSON form of domain.tenants.NewTenant.
create or replace function platform_create_tenant(new_id text, spec jsonb)
returns setof tenant
language plpgsql
volatile
security definer
set search_path = public, pg_temp
as $$
declare
  parent text := coalesce(spec ->> 'partner_id', 'operator');
begin
  if not exists (select from owner o where o.id = parent and o.level in ('operator', 'partner')) then
    raise foreign_key_violation using constraint = 'tenant_partner';
  end if;
  insert into owner (id, level, parent_id, slug, name)
  values (new_id, 'tenant', parent, spec ->> 'slug', spec ->> 'name');
  insert into tenant (
    id, slug, name, cell, time_zone, languages, partner_id, external_languages, allowed_engines,
    allowed_regions, language_model, transcription, audio_retention_days, text_retention_days, insight_retention_days
  )
  values (
    new_id,
    spec ->> 'slug',
    spec ->> 'name',
    spec ->> 'cell',
    spec ->> 'time_zone',
    array(select jsonb_array_elements_text(spec -> 'languages')),
    parent,
    array(select jsonb_array_elements_text(spec -> 'external_languages')),
    case
      when jsonb_typeof(spec -> 'allowed_engines') = 'array'
      then array(select jsonb_array_elements_text(spec -> 'allowed_engines'))
    end,
    case
      when jsonb_typeof(spec -> 'allowed_regions') = 'array'
      then array(select jsonb_array_elements_text(spec -> 'allowed_regions'))
    end,
    spec ->> 'language_model',
    spec ->> 'transcription',
    (spec -> 'retention' ->> 'audio_days')::integer,
    (spec -> 'retention' ->> 'text_days')::integer,
    (spec -> 'retention' ->> 'insight_days')::integer
  );
  insert into tenant_limit (tenant_id, kind, warn_at, stop_at)
  select new_id, kind, (bounds ->> 'warn_at')::double precision, (bounds ->> 'stop_at')::double precision
  from jsonb_each(spec -> 'limits') as given (kind, bounds);
  return query select * from tenant t where t.id = new_id;
end
$$;

-- -- what is written to a provider's cache is billed apart

alter table engine_call add column cache_write_tokens bigint not null default 0;
alter table engine_call add column price_version text not null default 'none';
alter table usage_event add column cache_write_tokens bigint not null default 0;
