-- What of a tenant may change after its creation; keys that are not in the change keep their value.
create function platform_change_tenant(of_tenant text, change jsonb)
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
      language_model = case when change ? 'language_model' then change ->> 'language_model' else language_model end,
      transcription = case when change ? 'transcription' then change ->> 'transcription' else transcription end
  where id = of_tenant
  returning *
$$;

revoke execute on function platform_change_tenant(text, jsonb) from public;
grant execute on function platform_change_tenant(text, jsonb) to :"platform";
