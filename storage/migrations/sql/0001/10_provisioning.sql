-- Setting up partners, tenants and their keys through the API. These functions only add: what exists is out of reach,
-- and a key's hash never comes back.

create function platform_create_partner(new_id text, new_slug text, new_name text)
returns void
language sql
volatile
security definer
set search_path = public, pg_temp
as $$
  insert into owner (id, level, parent_id, slug, name)
  values (new_id, 'partner', 'operator', new_slug, new_name)
$$;

create function platform_partners()
returns table (id text, slug text, name text)
language sql
stable
security definer
set search_path = public, pg_temp
as $$
  select o.id, o.slug, o.name
  from owner o
  where o.level = 'partner'
  order by o.slug
$$;

-- `spec` is the JSON form of domain.tenants.NewTenant.
create function platform_create_tenant(new_id text, spec jsonb)
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
    id, slug, name, cell, time_zone, languages, partner_id, external_languages, allowed_engines, language_model,
    transcription, audio_retention_days, text_retention_days, insight_retention_days
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

create function platform_create_api_key(
  new_id uuid, of_tenant text, of_partner text, key_name text, hash bytea, key_scopes text[], expires timestamptz
)
returns void
language sql
volatile
security definer
set search_path = public, pg_temp
as $$
  insert into api_key (id, tenant_id, partner_id, name, key_hash, scopes, expires_at)
  values (new_id, of_tenant, of_partner, key_name, hash, key_scopes, expires)
$$;

grant execute on function
  platform_create_partner(text, text, text),
  platform_partners(),
  platform_create_tenant(text, jsonb),
  platform_create_api_key(uuid, text, text, text, bytea, text[], timestamptz)
to :"platform";
