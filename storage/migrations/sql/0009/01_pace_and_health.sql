-- How fast an engine may be asked, over all processes. Each bucket is one number: the time up to which it is given out,
-- in seconds since 1970 by this database's clock. Unlogged: after a crash the pace begins anew, and no minute holds more
-- than one burst too much. No tenant: only platform functions touch these tables.
create unlogged table engine_pace (
  engine_id uuid primary key,
  requests_at double precision not null default 0,
  tokens_at double precision not null default 0,
  paused_until double precision not null default 0
) with (fillfactor = 50);

-- Who may have how many requests under way. A process that dies gives its places back when they expire.
create unlogged table engine_place (
  engine_id uuid not null,
  holder text not null,
  wanted integer not null,
  held integer not null,
  expires_at timestamptz not null,
  primary key (engine_id, holder)
) with (fillfactor = 50);

-- A slice for one process, in one round trip: `requests` that together take `tokens`, each a part of a minute long
-- (`request_seconds`, `token_seconds`; 0 for no limit). starts_at is when the first of them may go; granted is false when
-- that is further than `horizon` seconds away, and nothing is taken then. correction: tokens by which earlier slices were
-- estimated too low. held: how many of `most` places this process has, never fewer than `busy`; 0 wanted gives all back.
create function platform_engine_slice(
  engine uuid,
  process text,
  requests integer,
  tokens double precision,
  correction double precision,
  request_seconds double precision,
  token_seconds double precision,
  burst double precision,
  horizon double precision,
  wanted integer,
  busy integer,
  most integer,
  ttl double precision
)
returns table (
  at double precision, starts_at double precision, granted boolean, held integer, failures bigint, state text,
  changed_at double precision
)
language plpgsql
volatile
security definer
set search_path = public, pg_temp
as $$
declare
  moment double precision;
  pace engine_pace;
  first double precision;
  given boolean;
  places integer := 0;
  others integer;
  fair integer;
  demand integer;
begin
  insert into engine_pace (engine_id) values (engine) on conflict do nothing;
  select * into pace from engine_pace p where p.engine_id = engine for update;
  moment := extract(epoch from clock_timestamp());
  pace.requests_at := greatest(pace.requests_at, moment - burst);
  pace.tokens_at := greatest(pace.tokens_at + correction * token_seconds, moment - burst);
  first := greatest(pace.requests_at, pace.tokens_at, pace.paused_until);
  given := first <= moment + horizon;
  if given and requests > 0 then
    pace.requests_at := pace.requests_at + requests * request_seconds;
    pace.tokens_at := pace.tokens_at + tokens * token_seconds;
  end if;
  update engine_pace p
  set requests_at = pace.requests_at, tokens_at = pace.tokens_at
  where p.engine_id = engine;

  if most > 0 then
    delete from engine_place p
    where p.engine_id = engine
      and (p.holder = process or p.expires_at < clock_timestamp());
    if wanted > 0 or busy > 0 then
      select coalesce(sum(p.held), 0), coalesce(sum(p.wanted), 0), most / (count(*) + 1)
      into others, demand, fair
      from engine_place p
      where p.engine_id = engine;
      places := least(wanted, most - others);
      -- Others wait as well: nobody keeps more than a fair share, unless the others want less than theirs.
      if demand + wanted > most then
        places := least(places, greatest(fair, 1, most - demand));
      end if;
      places := greatest(places, busy, 0);
      insert into engine_place (engine_id, holder, wanted, held, expires_at)
      values (engine, process, wanted, places, clock_timestamp() + make_interval(secs => ttl));
    end if;
  end if;

  return query
  select moment, first, given, places, coalesce(h.failures, 0), coalesce(h.state, 'closed'),
    coalesce(extract(epoch from h.changed_at), 0)::double precision
  from (select 1) one
  left join engine_health h on h.engine_id = engine;
end
$$;

-- The provider said to wait: nobody asks until then.
create function platform_engine_pause(engine uuid, seconds double precision)
returns void
language sql
volatile
security definer
set search_path = public, pg_temp
as $$
  insert into engine_pace as p (engine_id, paused_until)
  values (engine, extract(epoch from clock_timestamp()) + seconds)
  on conflict (engine_id) do update
    set paused_until = greatest(p.paused_until, excluded.paused_until)
$$;

-- The circuit breaker. `threshold` failures in a row, of all processes together, open it; an answer closes it.
create function platform_engine_failed(engine uuid, threshold integer, said text)
returns void
language sql
volatile
security definer
set search_path = public, pg_temp
as $$
  insert into engine_health as h (engine_id, owner_id, state, failures, detail)
  select e.id, e.owner_id, case when threshold <= 1 then 'open' else 'closed' end, 1, left(said, 200)
  from engine e
  where e.id = engine
  on conflict (engine_id) do update
    set failures = h.failures + 1,
        state = case when h.state <> 'closed' or h.failures + 1 >= threshold then 'open' else 'closed' end,
        changed_at = case
          when h.state = 'half_open' or (h.state = 'closed' and h.failures + 1 >= threshold) then clock_timestamp()
          else h.changed_at
        end,
        detail = excluded.detail
$$;

create function platform_engine_answered(engine uuid)
returns void
language sql
volatile
security definer
set search_path = public, pg_temp
as $$
  update engine_health
  set state = 'closed', failures = 0, changed_at = clock_timestamp(), detail = null
  where engine_id = engine
    and (state <> 'closed' or failures > 0)
$$;

-- Whether this caller is the one that tries an engine whose breaker has been open for so long. One at a time: a trier
-- that died is followed by another after the same time.
create function platform_engine_probe(engine uuid, cool_down double precision)
returns boolean
language sql
volatile
security definer
set search_path = public, pg_temp
as $$
  with won as (
    update engine_health
    set state = 'half_open', changed_at = clock_timestamp()
    where engine_id = engine
      and state <> 'closed'
      and changed_at <= clock_timestamp() - make_interval(secs => cool_down)
    returning 1
  )
  select exists (select from won)
$$;

-- What came of a test that somebody asked for.
create function platform_engine_tested(engine uuid)
returns void
language sql
volatile
security definer
set search_path = public, pg_temp
as $$
  insert into engine_health as h (engine_id, owner_id, state, tested_at)
  select e.id, e.owner_id, 'closed', clock_timestamp()
  from engine e
  where e.id = engine
  on conflict (engine_id) do update
    set tested_at = excluded.tested_at
$$;
