-- The short way for what nearly all updates are: plain ones.
--
-- A plain update has no guard and takes nothing; it sets and removes fields at the top, and adds an integer to one of
-- them at most.  A single `UPDATE` finds a row, checks it, changes it and brings back what it is then: `update_one` in
-- queries.sql, and `update_many` here.  Neither can say why it left a row out: `run` can, which is asked then.
--
-- Parameters of a plain update:
--   id, digest, now   as `run` takes them
--   known             the rev whose data the caller holds, NULL for none
--   opening           a JSON object of the fields that it sets, and of its counter as the last one, but without the sum
--                     of the counter and the brace at the end: the server puts these behind it
--   counter           the field that it adds to, and `by`, what it adds, within 62 bits; NULL for none
--   removed           the fields that it removes, joined by "[", NULL for none
--   replaced          the field that it sets or removes, NULL for none or several
--   several           such fields, joined by "[", NULL for none or one
--   growth            no less than the bytes that it adds to the text of all data
-- and what all of a batch share:
--   max_age, wait     the settings' idle time, and how long after a renewal the next one is due by them
--   most              bytes of text that a session may hold; the caller has measured the fields
-- Result, of each that was carried out: the sum of its counter as text, or all data where the caller knows another rev;
-- whether the cookie is to be sent again; the record from its rev on, without what the caller knows.
--
-- `concat` of one value is its text, nothing for NULL: a cast takes longer to be made ready.
-- Functions of a single expression are not called: the planner puts the expression in their place.  Each part of an
-- expression is made ready at every execution, which for a single row takes longer than its work: so there are few.

-- Says whether a plain update fits the data: an integer of at most 18 characters is in its counter, or nothing, and
-- what it touches or brings back holds no tag that we never write.
CREATE FUNCTION "atomic_session".fits(data jsonb, counter text, replaced text, several text, whole boolean)
RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT jsonb_typeof(data) = 'object'
       AND concat(data -> counter) !~ '[^-0-9]' AND length(concat(data -> counter)) < 19
       AND concat(CASE WHEN whole THEN data ELSE data -> replaced END) !~ '"~[^bdnosu]'
       AND CASE
               WHEN several IS NULL THEN true
               ELSE NOT "atomic_session".is_strange_in(data, string_to_array(several, '['))
           END
$$;

-- The data after a plain update that fits.
CREATE FUNCTION "atomic_session".updated(data jsonb, opening text, counter text, by bigint, removed text)
RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT (data - string_to_array(coalesce(removed, ''), '['))
        || concat(opening, coalesce((data -> counter)::bigint + by, by), '}')::jsonb
$$;

-- The idle deadline of a session that is used now.
CREATE FUNCTION "atomic_session".idle_deadline_of(now bigint, max_age bigint, default_max_age bigint, latest bigint)
RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT least(now + coalesce(max_age, default_max_age), latest)
$$;

-- Says whether a session was due to be renewed when the statement began: STABLE, it looks at the row as it was then.
CREATE FUNCTION "atomic_session".was_due(its_id text, now bigint) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT now >= renew_at FROM "atomic_session".records WHERE id = its_id
$$;

-- Plain updates of many sessions: an array for each of their own parameters, in the order of the ids, each id once;
-- NULL for an array of nothing but NULL.
-- Result: as above, and at the end which of them it is, counted from 1.
--
-- One step: the rows are locked, and written, in the order of their ids.  The planner has no other way from the ids to
--           the rows than the index: it may not read the whole table, and by an equality with an array it can make no
--           other join.
--           What somebody has changed since the statement began, `UPDATE` checks and changes as it is now.
CREATE FUNCTION "atomic_session".update_many(
    ids text[], digests bytea[], nows bigint[], knowns bigint[], openings text[], counters text[], bys bigint[],
    removed text[], replaced text[], several text[], growths bigint[], default_max_age bigint, wait bigint, most bigint
) RETURNS TABLE (
    answer text, renewed boolean, rev bigint, created bigint, last_used bigint, renew_at bigint, idle_deadline bigint,
    absolute_deadline bigint, max_age bigint, owner text, authenticated_at bigint, previous_digest bytea,
    previous_until bigint, grace_until bigint, place integer
) LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    UPDATE "atomic_session".records AS r
       SET rev = r.rev + 1, last_used = u.now, size = r.size + u.growth,
           renew_at = CASE WHEN u.now < r.renew_at THEN r.renew_at ELSE u.now + wait END,
           idle_deadline = "atomic_session".idle_deadline_of(u.now, r.max_age, default_max_age, r.absolute_deadline),
           purge_at = "atomic_session".purge_at_of(
               "atomic_session".idle_deadline_of(u.now, r.max_age, default_max_age, r.absolute_deadline)),
           data = "atomic_session".updated(r.data, u.opening, u.counter, u.by, u.removed)
      FROM unnest(ids, digests, nows, knowns, openings, counters, bys, removed, replaced, several, growths)
           WITH ORDINALITY
           AS u (id, digest, now, known, opening, counter, by, removed, replaced, several, growth, place)
     WHERE r.id = ANY (ARRAY[u.id]) AND r.digest = u.digest AND NOT r.destroyed AND u.now < r.idle_deadline
       AND (u.now < r.renew_at OR r.max_age IS NULL) AND r.size + u.growth <= most
       AND "atomic_session".fits(r.data, u.counter, u.replaced, u.several, r.rev IS DISTINCT FROM u.known)
    RETURNING concat(CASE WHEN r.rev - 1 = u.known THEN r.data -> u.counter ELSE r.data END),
              CASE WHEN r.renew_at = u.now + wait THEN "atomic_session".was_due(r.id, u.now) ELSE false END,
              r.rev, r.created, r.last_used, r.renew_at, r.idle_deadline, r.absolute_deadline, r.max_age, r.owner,
              r.authenticated_at, r.previous_digest, r.previous_until, r.grace_until, u.place::integer;
END $$;
