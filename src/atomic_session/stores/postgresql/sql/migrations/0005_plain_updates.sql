-- The short way for what nearly all updates are: plain ones.
--
-- A plain update has no guard and takes nothing; it sets and removes fields at the top, and adds an integer to one of
-- them at most.  A single `UPDATE` finds a row, checks it, changes it and brings back what it is then.  That cannot say
-- why a row was left out: so whatever is unusual in the least is left to `run`, which knows every case.
--
-- Parameters of a plain update:
--   id, digest, now   as `run` takes them
--   known             the rev whose data the caller holds, NULL for none
--   opening           a JSON object of the fields that it sets, and of its counter as the last one, but without the sum
--                     of the counter and the brace at the end: the server puts these behind it
--   counter           the field that it adds to, and `by`, what it adds; NULL for none
--   removed           the fields that it removes, joined by "[", NULL for none
--   replaced          the fields that it sets or removes, joined by "[", NULL for none
--   growth            no less than the bytes that it adds to the text of all data
-- and what all of a batch share:
--   default_max_age, default_touch_after   the settings' lifetimes
--   most_record                            bytes of text; the caller has measured the fields
-- Result: as `run` has it, with one outcome more: 10 done, and all that it touches is as the caller has asked, but for
-- the counter, whose sum is the answer; where all data is brought back, that is the answer.  `place` is the command's,
-- counted from 1; those left to `run` come last.
--
-- Functions of a single expression are not called: the planner puts the expression in their place.

-- Says whether a value holds no tag that we never write; what is missing holds none.
CREATE FUNCTION "atomic_session".is_sound(value jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN strpos(value::text, '~') > 0 THEN NOT "atomic_session".is_strange(value::text) ELSE true END
$$;

-- Says whether an integer can be added, and leaves one of 64 bits (the least of them is left to `run`).
CREATE FUNCTION "atomic_session".counts(old jsonb, by bigint) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN old IS NULL THEN true
        WHEN jsonb_typeof(old) = 'number' THEN scale(old::numeric) = 0 AND abs(old::numeric + by) < 9223372036854775808
        ELSE false
    END
$$;

-- Says whether a plain update fits the data, and nothing that it touches or brings back is strange.
CREATE FUNCTION "atomic_session".fits(data jsonb, counter text, by bigint, replaced text, whole boolean)
RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_typeof(data) = 'object'
       AND CASE WHEN counter IS NULL THEN true ELSE "atomic_session".counts(data -> counter, by) END
       AND CASE
               WHEN whole THEN "atomic_session".is_sound(data)
               WHEN replaced IS NULL THEN true
               WHEN strpos(replaced, '[') = 0 THEN "atomic_session".is_sound(data -> replaced)
               ELSE NOT "atomic_session".is_strange_in(data, string_to_array(replaced, '['))
           END
$$;

-- The data after a plain update that fits.
CREATE FUNCTION "atomic_session".updated(data jsonb, opening text, counter text, by bigint, removed text)
RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN removed IS NULL THEN data ELSE data - string_to_array(removed, '[') END
        || (opening || coalesce(((data -> counter)::numeric + by)::text, by::text, '') || '}')::jsonb
$$;

-- The idle deadline of a session that is used now.
CREATE FUNCTION "atomic_session".idle_deadline_of(now bigint, max_age bigint, default_max_age bigint, latest bigint)
RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT least(now + coalesce(max_age, default_max_age), latest)
$$;

-- When a session that ends then may be removed: see 0001.
CREATE FUNCTION "atomic_session".purge_at_of(deadline bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT (deadline + 3599999) / 3600000 * 3600000
$$;

-- A plain update as `run` takes it.  Only the counter can be refused, and there is but one.
CREATE FUNCTION "atomic_session".detail_of(
    known bigint, opening text, counter text, by bigint, removed text, replaced text
) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT (jsonb_build_array(known, concat_ws('[', replaced, counter))
        || (SELECT coalesce(jsonb_agg(jsonb_build_array('unset', name)), '[]')
              FROM unnest(string_to_array(removed, '[')) AS name)
        || (SELECT coalesce(jsonb_agg(jsonb_build_array(verb, key, value)), '[]')
              FROM jsonb_each((opening || coalesce(by::text, '') || '}')::jsonb),
                   LATERAL (SELECT CASE WHEN key = counter THEN 'inc' ELSE 'set' END AS verb) AS what))::text
$$;

-- A plain update alone.  Its row comes as one value: a result of rows would be put away and fetched again.
CREATE FUNCTION "atomic_session".update_one(
    its_id text, its_digest bytea, now bigint, known bigint, opening text, counter text, by bigint, removed text,
    replaced text, growth bigint, default_max_age bigint, default_touch_after bigint, most_record bigint
) RETURNS record LANGUAGE plpgsql SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    result record;
BEGIN
    UPDATE "atomic_session".records AS r
       SET rev = r.rev + 1, last_used = now, size = r.size + growth,
           idle_deadline = "atomic_session".idle_deadline_of(now, r.max_age, default_max_age, r.absolute_deadline),
           purge_at = "atomic_session".purge_at_of(
               "atomic_session".idle_deadline_of(now, r.max_age, default_max_age, r.absolute_deadline)),
           data = "atomic_session".updated(r.data, opening, counter, by, removed)
     WHERE r.id = its_id AND r.digest = its_digest AND NOT r.destroyed
       AND now < r.renew_at AND now < r.idle_deadline AND (r.absolute_deadline IS NULL OR now < r.absolute_deadline)
       AND r.size + growth <= most_record
       AND "atomic_session".fits(r.data, counter, by, replaced, r.rev IS DISTINCT FROM known)
    RETURNING 10, false, CASE WHEN r.rev - 1 = known THEN (r.data -> counter)::text ELSE r.data::text END,
              r.rev - 1 IS DISTINCT FROM known, NULL::text, NULL::integer, NULL::text, r.digest, r.rev, r.created,
              r.last_used, r.renew_at, r.idle_deadline, r.absolute_deadline, r.max_age, r.owner, r.authenticated_at,
              r.previous_digest, r.previous_until, r.grace_until, r.destroyed, 1
         INTO result;
    IF NOT FOUND THEN
        SELECT rest.*, 1
          INTO result
          FROM "atomic_session".run(
               ARRAY[its_id], ARRAY['update'], ARRAY[its_digest], ARRAY[now], ARRAY[default_max_age],
               ARRAY[default_touch_after],
               ARRAY["atomic_session".detail_of(known, opening, counter, by, removed, replaced)],
               ARRAY[1], now, 2147483647, most_record, 0, 0) AS rest;
    END IF;
    RETURN result;
END $$;

-- Plain updates of many sessions: an array for each of their parameters, in the order of the ids, each id once.
--
-- One step: the rows are locked, and written, in the order of their ids.  The planner has no other way from the ids to
--           the rows than the index: it may not read the whole table, and by an equality with an array it can make no
--           other join.
--           What somebody has changed since the statement began, `UPDATE` checks and changes as it is now.
--           What was left out comes at the end, where no row is waited for: who waits while holding others could wait
--           in a circle.  A row that somebody else holds then is answered 8, not tried.
CREATE FUNCTION "atomic_session".update_many(
    ids text[], digests bytea[], nows bigint[], knowns bigint[], openings text[], counters text[], bys bigint[],
    removed text[], replaced text[], growths bigint[], default_max_age bigint, default_touch_after bigint,
    most_record bigint
) RETURNS TABLE (
    outcome integer, renewed boolean, answer text, whole boolean, taken text, number integer, reason text,
    digest bytea, rev bigint, created bigint, last_used bigint, renew_at bigint, idle_deadline bigint,
    absolute_deadline bigint, max_age bigint, owner text, authenticated_at bigint, previous_digest bytea,
    previous_until bigint, grace_until bigint, destroyed boolean, place integer
) LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    done bigint;
    written_by xid;
BEGIN
    RETURN QUERY
    UPDATE "atomic_session".records AS r
       SET rev = r.rev + 1, last_used = u.now, size = r.size + u.growth,
           idle_deadline = "atomic_session".idle_deadline_of(u.now, r.max_age, default_max_age, r.absolute_deadline),
           purge_at = "atomic_session".purge_at_of(
               "atomic_session".idle_deadline_of(u.now, r.max_age, default_max_age, r.absolute_deadline)),
           data = "atomic_session".updated(r.data, u.opening, u.counter, u.by, u.removed)
      FROM unnest(ids, digests, nows, knowns, openings, counters, bys, removed, replaced, growths) WITH ORDINALITY
           AS u (id, digest, now, known, opening, counter, by, removed, replaced, growth, place)
     WHERE r.id = ANY (ARRAY[u.id]) AND r.digest = u.digest AND NOT r.destroyed
       AND u.now < r.renew_at AND u.now < r.idle_deadline
       AND (r.absolute_deadline IS NULL OR u.now < r.absolute_deadline)
       AND r.size + u.growth <= most_record
       AND "atomic_session".fits(r.data, u.counter, u.by, u.replaced, r.rev IS DISTINCT FROM u.known)
    RETURNING 10, false, CASE WHEN r.rev - 1 = u.known THEN (r.data -> u.counter)::text ELSE r.data::text END,
              r.rev - 1 IS DISTINCT FROM u.known, NULL::text, NULL::integer, NULL::text, r.digest, r.rev, r.created,
              r.last_used, r.renew_at, r.idle_deadline, r.absolute_deadline, r.max_age, r.owner, r.authenticated_at,
              r.previous_digest, r.previous_until, r.grace_until, r.destroyed, u.place::integer;
    GET DIAGNOSTICS done = ROW_COUNT;
    IF done = cardinality(ids) THEN
        RETURN;
    END IF;
    written_by := pg_current_xact_id_if_assigned()::xid;
    FOR at IN 1 .. cardinality(ids) LOOP
        PERFORM FROM "atomic_session".records AS r WHERE r.id = ids[at] AND r.xmin = written_by;
        CONTINUE WHEN FOUND;  -- it is done
        PERFORM FROM "atomic_session".records AS r WHERE r.id = ids[at] FOR NO KEY UPDATE SKIP LOCKED;
        IF FOUND OR NOT EXISTS (SELECT FROM "atomic_session".records AS r WHERE r.id = ids[at]) THEN
            RETURN QUERY
            SELECT rest.*, at
              FROM "atomic_session".run(
                   ids[at:at], ARRAY['update'], digests[at:at], nows[at:at], ARRAY[default_max_age],
                   ARRAY[default_touch_after],
                   ARRAY["atomic_session".detail_of(
                       knowns[at], openings[at], counters[at], bys[at], removed[at], replaced[at])],
                   ARRAY[1], nows[at], 2147483647, most_record, 0, 0) AS rest;
        ELSE
            outcome := 8;
            place := at;
            RETURN NEXT;
        END IF;
    END LOOP;
END $$;
