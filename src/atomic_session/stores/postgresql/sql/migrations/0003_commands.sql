-- A list that came as one text: an element a line, an empty one is NULL.
CREATE FUNCTION "atomic_session".list(lines text) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
    SELECT string_to_array(lines, chr(10), '')
$$;

-- Says whether there is a tag in a text of data that we never write.
CREATE FUNCTION "atomic_session".is_strange(text_of_data text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN text_of_data ~ '"~[^bdnosu]';
END $$;

-- The same of the fields that are named.
CREATE FUNCTION "atomic_session".is_strange_in(data jsonb, names text[])
RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY coalesce(names, '{}') LOOP
        IF strpos((data -> name)::text, '~') > 0 AND "atomic_session".is_strange((data -> name)::text) THEN
            RETURN true;
        END IF;
    END LOOP;
    RETURN false;
END $$;

-- The fields that are named and present, as text, a comma before each; as many bytes as they have in all data.
CREATE FUNCTION "atomic_session".fields_of(data jsonb, names text[]) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    name text;
    fields text := '';
BEGIN
    FOREACH name IN ARRAY names LOOP
        fields := fields || coalesce(', "' || name || '": ' || (data -> name)::text, '');
    END LOOP;
    RETURN fields;
END $$;

-- The bytes of the longest of the fields that are named.
CREATE FUNCTION "atomic_session".widest_of(data jsonb, names text[]) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT max(octet_length((data -> name)::text)) FROM unnest(names) AS name
$$;

-- What an update leaves, to be written with that of its neighbours.
CREATE TYPE "atomic_session".written AS (
    id            text COLLATE "C",
    rev           bigint,
    last_used     bigint,
    renew_at      bigint,
    idle_deadline bigint,
    size          bigint,
    data          jsonb
);

-- One batch of commands: a single statement calls `run`.
--
-- Parameters: one element for each command, the commands of one session beside each other, sessions in the order of
--             their ids.  Everybody locks rows in that order, so no two batches wait for each other.
--               ids, verbs     which session, and what is asked
--               digests        the digest that is shown, NULL where the application asks by id
--               nows           the instant of the command
--               max_ages, touch_afters   the settings' lifetimes, NULL where they say nothing
--               details        JSON, by verb:
--                 create   [created, last_used, renew_at, idle_deadline, absolute_deadline, max_age, owner,
--                           authenticated_at, rev, data]
--                 update   [the rev that is known, names of the fields it touches joined by "[" (null for all),
--                           guards and operators...]
--                 put      [the rev it replaces, data]
--                 touch    [max_age of its own, null for none]
--                 rotate   [new digest in base64, previous_until, grace_until, 1 for a login, absolute deadline
--                           from a login, owner from a login]
--                 load, look   nothing; a look has none but looks of its session beside it
--             starts, latest            where each session's commands begin, and the last of all instants
--             most_field, most_record   bytes of text; what has more is left to Python, which counts exactly
--             padding, depth            as `apply` takes them
-- Result:     a row for each command, in their order: the outcome, whether the cookie is to be sent again, all data or
--             the touched fields as text, whether it is all, what was taken, and of a refusal which guard or operator
--             and why; then the record.
--             0 done, 1 unmet, 2 refused, 3 rotated, 4 destroyed, 5 absent, 6 exists, 7 only Python knows: it gets all
--             data, 8 not tried: it comes after such a one, 9 corrupt.
-- One step:   a row is read after it is locked, and written before anybody else sees it.  A session that is only
--             looked at is not locked, and such a batch writes nothing.
-- Plans:      they are made once a connection, maybe while the table is small: so none reads all of it, whatever is
--             cheaper then.
CREATE FUNCTION "atomic_session".run(
    ids text[], verbs text[], digests bytea[], nows bigint[], max_ages bigint[], touch_afters bigint[],
    details text[], starts integer[], latest bigint, most_field integer, most_record bigint,
    padding integer, depth integer
) RETURNS TABLE (
    outcome integer, renewed boolean, answer text, whole boolean, taken text, number integer, reason text,
    digest bytea, rev bigint, created bigint, last_used bigint, renew_at bigint, idle_deadline bigint,
    absolute_deadline bigint, max_age bigint, owner text, authenticated_at bigint, previous_digest bytea,
    previous_until bigint, grace_until bigint, destroyed boolean
) LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
#variable_conflict use_column
DECLARE
    count integer := cardinality(ids);
    place integer;
    written "atomic_session".written[] := '{}';  -- what is to be written at the end
    its_size bigint;
    its_data jsonb;
    there boolean;           -- the row is
    locked boolean;          -- nobody else can change it
    blocked boolean;         -- an earlier command of this session is left to Python
    changed boolean;         -- what is to be written: the record,
    rewritten boolean;       -- the data,
    moved boolean;           -- and what seldom changes
    verb text;
    now bigint;
    detail jsonb;
    result "atomic_session".applied;
    fields text;             -- those that an update touches, as it leaves them
    names text[];            -- of the fields that an update touches
    corrupt boolean;
    grown bigint;            -- the bytes of all data then
    widest bigint;           -- no field that is touched has more bytes
    idle bigint;
BEGIN
    -- One plan finds all rows, and locks them in this order.  What is only looked at is locked where a renewal may be
    -- due; where it is due and not locked, somebody else has renewed it since the statement began.
    FOR place, there, locked, digest, rev, created, last_used, renew_at, idle_deadline, absolute_deadline, max_age,
        owner, authenticated_at, previous_digest, previous_until, grace_until, destroyed, its_size, its_data
    IN
        SELECT session.start, s.id IS NOT NULL, coalesce(s.locked, true), s.digest, s.rev, s.created, s.last_used,
               s.renew_at, s.idle_deadline, s.absolute_deadline, s.max_age, s.owner, s.authenticated_at,
               s.previous_digest, s.previous_until, s.grace_until, s.destroyed, s.size, s.data
          FROM unnest(starts) AS session (start)
          LEFT JOIN LATERAL (
               SELECT true AS locked, held.*
                 FROM (SELECT r.*
                         FROM "atomic_session".records AS r
                        WHERE r.id = ids[session.start]
                          AND (verbs[session.start] <> 'look'
                              OR latest >= r.renew_at AND nows[session.start] < r.idle_deadline
                              AND (r.digest = ANY (digests) OR r.previous_digest = ANY (digests)))
                          FOR NO KEY UPDATE) AS held
                UNION ALL
               SELECT false, r.*
                 FROM "atomic_session".records AS r
                WHERE r.id = ids[session.start] AND verbs[session.start] = 'look'
                LIMIT 1) AS s ON true
    LOOP
        blocked := false;
        changed := false;
        rewritten := false;
        moved := false;
        LOOP
            verb := verbs[place];
            now := nows[place];
            IF place > 1 THEN
                answer := NULL;
                taken := NULL;
                number := NULL;
                reason := NULL;
            END IF;
            renewed := false;
            whole := false;

            -- Who may use it.
            IF NOT blocked AND there AND digests[place] = digest AND now < idle_deadline AND NOT destroyed
                AND (absolute_deadline IS NULL OR now < absolute_deadline) AND verb <> 'create'
                AND (jsonb_typeof(its_data) = 'object' OR verb = 'destroy')
            THEN
                outcome := 0;  -- as nearly always
            ELSIF blocked THEN
                outcome := 8;
            ELSIF verb = 'create' THEN
                outcome := CASE WHEN there THEN 6 ELSE 0 END;
            ELSIF NOT there THEN
                outcome := 5;
            ELSIF digests[place] <> digest
                AND (previous_digest IS NULL OR digests[place] <> previous_digest OR now >= previous_until)
            THEN
                outcome := 5;
            ELSIF digests[place] <> digest AND now >= grace_until THEN
                outcome := 3;
            ELSIF now >= idle_deadline OR now >= absolute_deadline THEN
                outcome := 5;
            ELSIF destroyed THEN
                outcome := 4;
            ELSIF verb = 'rotate' AND digests[place] <> digest THEN
                outcome := 3;
            ELSIF verb <> 'destroy' AND jsonb_typeof(its_data) <> 'object' THEN
                outcome := 9;
            ELSE
                outcome := 0;
            END IF;

            -- What it does, but for the renewal.
            IF outcome <> 0 THEN
                NULL;
            ELSIF verb = 'load' OR verb = 'look' THEN
                answer := its_data::text;
                whole := true;
                IF now < renew_at OR NOT locked THEN
                    verb := NULL;
                END IF;
            ELSIF verb = 'update' THEN
                detail := details[place]::jsonb;
                names := string_to_array(detail ->> 1, '[');
                result := "atomic_session".apply(its_data, detail, 2, padding, depth);
                outcome := result.code;
                whole := (detail ->> 0)::bigint IS DISTINCT FROM rev OR names IS NULL AND outcome = 0;
                corrupt := "atomic_session".is_strange_in(its_data, names);
                IF outcome = 0 AND whole THEN
                    answer := result.data::text;
                    grown := octet_length(answer);
                    widest := grown;
                ELSIF outcome = 0 THEN
                    fields := "atomic_session".fields_of(result.data, names);
                    answer := '{' || substr(fields, 3) || '}';
                    widest := octet_length(fields);
                    grown := its_size + widest - octet_length("atomic_session".fields_of(its_data, names));
                ELSIF outcome = 1 AND (whole OR names IS NULL) THEN
                    answer := its_data::text;
                ELSIF outcome = 1 THEN
                    answer := '{' || substr("atomic_session".fields_of(its_data, names), 3) || '}';
                END IF;
                IF whole AND outcome < 2 AND strpos(answer, '~') > 0 THEN
                    corrupt := corrupt OR "atomic_session".is_strange(answer);
                END IF;
                IF corrupt THEN
                    outcome := 9;
                END IF;
                IF outcome = 0 AND grown > most_record THEN
                    grown := octet_length(result.data::text);  -- what is kept may be more than there are
                END IF;
                IF outcome = 0 AND (grown > most_record OR widest > most_field
                    AND (names IS NULL OR "atomic_session".widest_of(result.data, names) > most_field))
                THEN
                    outcome := 7;
                END IF;
                IF outcome = 0 THEN
                    taken := result.taken::text;
                    its_data := result.data;
                    its_size := grown;
                    rev := rev + 1;
                    rewritten := true;
                ELSIF outcome = 2 THEN
                    number := result.number;
                    reason := result.reason;
                ELSIF outcome = 7 THEN
                    blocked := true;
                    answer := its_data::text;
                END IF;
            ELSIF verb = 'put' THEN
                detail := details[place]::jsonb;
                IF (detail ->> 0)::bigint = rev THEN
                    its_data := detail -> 1;
                    its_size := octet_length(its_data::text);
                    rev := rev + 1;
                    rewritten := true;
                ELSE
                    outcome := 7;
                    blocked := true;
                    answer := its_data::text;
                END IF;
            ELSIF verb = 'touch' THEN
                moved := true;
                detail := details[place]::jsonb;
                IF (detail ->> 0) IS NOT NULL THEN
                    max_age := (detail ->> 0)::bigint;
                    renew_at := now;
                END IF;
            ELSIF verb = 'rotate' THEN
                moved := true;
                detail := details[place]::jsonb;
                previous_digest := digest;
                digest := decode(detail ->> 0, 'base64');
                previous_until := (detail ->> 1)::bigint;
                grace_until := (detail ->> 2)::bigint;
                renew_at := now;
                IF (detail ->> 3) = '1' THEN
                    absolute_deadline := (detail ->> 4)::bigint;
                    owner := detail ->> 5;
                    authenticated_at := now;
                END IF;
            ELSIF verb = 'destroy' THEN
                destroyed := true;
                owner := NULL;
                idle_deadline := now + 60000;
                absolute_deadline := NULL;
                last_used := now;
                its_data := '{}';
                its_size := 0;
                changed := true;
                rewritten := true;
                moved := true;
            ELSIF verb = 'create' THEN
                detail := details[place]::jsonb;
                digest := digests[place];
                created := (detail ->> 0)::bigint;
                last_used := (detail ->> 1)::bigint;
                renew_at := (detail ->> 2)::bigint;
                idle_deadline := (detail ->> 3)::bigint;
                absolute_deadline := (detail ->> 4)::bigint;
                max_age := (detail ->> 5)::bigint;
                owner := detail ->> 6;
                authenticated_at := (detail ->> 7)::bigint;
                rev := (detail ->> 8)::bigint;
                its_data := detail -> 9;
                its_size := CASE WHEN its_data = '{}' THEN 0 ELSE octet_length(its_data::text) END;
                previous_digest := NULL;
                previous_until := 0;
                grace_until := 0;
                destroyed := false;
                INSERT INTO "atomic_session".records
                VALUES (ids[place], run.digest, run.rev, run.created, run.last_used, run.renew_at, run.idle_deadline,
                        run.absolute_deadline, run.max_age, run.owner, run.authenticated_at, run.previous_digest,
                        run.previous_until, run.grace_until, run.destroyed,
                        "atomic_session".purge_at_of(run.idle_deadline), its_size, its_data)
                    ON CONFLICT DO NOTHING;
                there := FOUND;
                IF NOT FOUND THEN  -- somebody else was quicker, with an id that nobody can guess
                    outcome := 6;
                    blocked := true;
                END IF;
            END IF;

            -- The renewal.
            IF outcome = 0 AND verb IN ('load', 'look', 'update', 'put', 'touch', 'rotate') THEN
                renewed := now >= renew_at;
                idle := coalesce(max_age, max_ages[place]);
                last_used := now;
                idle_deadline := least(now + idle, absolute_deadline);
                IF renewed THEN
                    renew_at := now + CASE WHEN touch_afters[place] < idle THEN touch_afters[place] ELSE idle / 10 END;
                END IF;
                changed := true;
            END IF;

            RETURN NEXT;
            EXIT WHEN place = count OR ids[place + 1] <> ids[place];
            place := place + 1;
        END LOOP;

        -- What the session's commands have changed is written once; mostly it is the data and the deadline.
        IF changed AND (moved OR NOT rewritten) THEN
            UPDATE "atomic_session".records AS s
               SET digest = run.digest, last_used = run.last_used, renew_at = run.renew_at,
                   idle_deadline = run.idle_deadline, absolute_deadline = run.absolute_deadline,
                   max_age = run.max_age, owner = run.owner, authenticated_at = run.authenticated_at,
                   previous_digest = run.previous_digest, previous_until = run.previous_until,
                   grace_until = run.grace_until, destroyed = run.destroyed,
                   purge_at = "atomic_session".purge_at_of(run.idle_deadline)
             WHERE s.id = ids[place];
        END IF;
        IF rewritten AND count = 1 THEN
            UPDATE "atomic_session".records AS s
               SET rev = run.rev, last_used = run.last_used, renew_at = run.renew_at,
                   idle_deadline = run.idle_deadline,
                   purge_at = "atomic_session".purge_at_of(run.idle_deadline), size = its_size, data = its_data
             WHERE s.id = ids[place];
        ELSIF rewritten THEN
            written := array_append(written,
                (ids[place], rev, last_used, renew_at, idle_deadline, its_size, its_data)::"atomic_session".written);
        END IF;
    END LOOP;
    IF cardinality(written) > 0 THEN
        UPDATE "atomic_session".records AS s
           SET rev = w.rev, last_used = w.last_used, renew_at = w.renew_at, idle_deadline = w.idle_deadline,
               purge_at = "atomic_session".purge_at_of(w.idle_deadline), size = w.size, data = w.data
          FROM unnest(written) AS w
         WHERE s.id = w.id;
    END IF;
END $$;
