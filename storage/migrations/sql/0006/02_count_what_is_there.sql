-- Conversations and values that were there before.
do $$
declare
  known text;
begin
  for known in select t.id from tenant t loop
    perform set_config('parley.tenant_id', known, true);
    perform count_conversation(c, 1, false), count_values(c.tenant_id, c.id)
    from conversation c
    where c.tenant_id = known
      and c.merged_into is null;
  end loop;
  perform set_config('parley.tenant_id', '', true);
end
$$;
