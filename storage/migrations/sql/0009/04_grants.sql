-- For the platform role, and for nobody else.
do $$
declare
  made regprocedure;
begin
  for made in
    select p.oid
    from pg_proc p
    where p.pronamespace = 'public'::regnamespace
      and p.proname in (
        'platform_engine_slice', 'platform_engine_pause', 'platform_engine_failed', 'platform_engine_answered',
        'platform_engine_probe', 'platform_engine_tested', 'platform_engine_secret', 'platform_put_engine_secret',
        'platform_engines', 'platform_put_engine', 'platform_audit'
      )
  loop
    execute format('revoke execute on function %s from public', made);
    execute format('grant execute on function %s to %I', made, :'platform');
  end loop;
end
$$;
