-- Who is signed in. A token has 256 random bits; its SHA-256 is all that is kept of it.
create table user_session (
  tenant_id text not null,
  id uuid not null,
  user_id uuid not null,
  token_hash bytea not null check (octet_length(token_hash) = 32),
  origin text,
  created_at timestamptz not null,
  seen_at timestamptz not null,
  expires_at timestamptz not null,
  revoked_at timestamptz,
  primary key (tenant_id, id),
  unique (tenant_id, token_hash),
  foreign key (tenant_id, user_id) references user_account (tenant_id, id) on delete cascade
);
comment on column user_session.expires_at is 'whatever happens; without use it ends earlier';
create index user_session_of_user on user_session (tenant_id, user_id);
call secure_tenant_table('user_session', 'select, insert, delete, update (seen_at, revoked_at)');

-- Tries to sign in, per account and per address, each under a keyed hash. It has no tenant: what is tried need not exist.
create table sign_in_try (
  key bytea primary key check (octet_length(key) = 32),
  tries integer not null,
  last_at timestamptz not null
);
create index sign_in_try_by_age on sign_in_try (last_at);

-- Counts one try under each key, unless one of them has to wait: then nothing is counted, and the answer is for how many
-- seconds. Each key has its own number of free tries; from there on the wait doubles, up to a quarter of an hour, and
-- after a quarter of an hour of quiet a key is as good as new. Counted before the password is looked at, so that tries
-- side by side are tries one after the other.
create function platform_sign_in_try(keys bytea[], free integer[]) returns double precision
language plpgsql
volatile
security definer
set search_path = public, pg_temp
as $$
declare
  quiet constant double precision := 900;
  now constant timestamptz := clock_timestamp();
  wait double precision;
begin
  delete from sign_in_try t
  using (
    select o.key
    from sign_in_try o
    where o.last_at < now - make_interval(secs => 2 * quiet)
      and o.key <> all (keys)
    order by o.last_at
    limit 20
    for update skip locked
  ) old
  where t.key = old.key;

  insert into sign_in_try (key, tries, last_at)
  select k, 0, now
  from unnest(keys) k
  order by k
  on conflict (key) do nothing;

  perform 1 from sign_in_try t where t.key = any (keys) order by t.key for update;

  select max(
    case
      when t.tries < g.free or t.last_at < now - make_interval(secs => quiet) then 0
      else least(quiet, 2 ^ least(t.tries - g.free, 12)) - extract(epoch from now - t.last_at)
    end
  )
  into wait
  from sign_in_try t
  join unnest(keys, free) as g (key, free) using (key);
  if wait > 0 then
    return wait;
  end if;

  update sign_in_try t
  set tries = case when t.last_at < now - make_interval(secs => quiet) then 1 else t.tries + 1 end,
      last_at = now
  where t.key = any (keys);
  return 0;
end
$$;

-- The account's tries are forgotten; the address gets back the one it used.
create function platform_signed_in(account bytea, address bytea) returns void
language sql
volatile
security definer
set search_path = public, pg_temp
as $$
  delete from sign_in_try where key = account;
  update sign_in_try set tries = greatest(0, tries - 1) where key = address
$$;

create function platform_tenant_named(wanted text) returns setof tenant
language sql
stable
security definer
set search_path = public, pg_temp
as $$
  select *
  from tenant t
  where t.slug = wanted
    and t.state <> 'erased'
$$;

grant execute on function
  platform_sign_in_try(bytea[], integer[]),
  platform_signed_in(bytea, bytea),
  platform_tenant_named(text)
to :"platform";
