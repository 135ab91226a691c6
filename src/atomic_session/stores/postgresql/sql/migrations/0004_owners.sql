-- What concerns all sessions of an owner.  Rows are locked in the order of their ids, as a batch locks them.

-- Has the logins of an owner take turns, and says who is there.
--
-- Parameters: owner; the id of the session that logs in; now.
-- Result:     the ids of the other live sessions of the owner, the latest used first, all of them locked.
-- One step:   the turn is a lock that ends with the transaction, and is taken before any row.  Then the rows are
--             locked, and only then looked at.  Who became the owner's meanwhile without taking a turn is not among
--             them: nothing would keep it the owner's until it is ended.
CREATE FUNCTION "atomic_session".take_turn(its_owner text, its_id text, now bigint)
RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
    locked text[];
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('"atomic_session"' || its_owner, 6021));
    locked := ARRAY(
        SELECT s.id
          FROM "atomic_session".records AS s
         WHERE s.owner = its_owner OR s.id = its_id
         ORDER BY s.id
           FOR NO KEY UPDATE);
    RETURN ARRAY(
        SELECT s.id
          FROM "atomic_session".records AS s
         WHERE s.id = ANY (locked) AND s.owner = its_owner AND s.id <> its_id AND now < s.idle_deadline
           AND (s.absolute_deadline IS NULL OR now < s.absolute_deadline)
         ORDER BY s.last_used DESC, s.id);
END $$;

-- Ends sessions, and says how many: those of `these`, which are locked.
CREATE FUNCTION "atomic_session".bury(these text[], now bigint) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    ended integer;
BEGIN
    UPDATE "atomic_session".records AS s
       SET destroyed = true, owner = NULL, idle_deadline = now + 60000, absolute_deadline = NULL, last_used = now,
           purge_at = "atomic_session".purge_at_of(now + 60000), size = 0, data = '{}'
     WHERE s.id = ANY (these);
    GET DIAGNOSTICS ended = ROW_COUNT;
    RETURN ended;
END $$;

-- Ends the live sessions of an owner but for the one with the id `keep`, and says how many.
--
-- One step: a login that is committed before the rows are locked is ended; one that comes later is not.
CREATE FUNCTION "atomic_session".destroy_all(its_owner text, keep text, now bigint)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    locked text[];
BEGIN
    locked := ARRAY(
        SELECT s.id
          FROM "atomic_session".records AS s
         WHERE s.owner = its_owner AND s.id IS DISTINCT FROM keep AND now < s.idle_deadline
           AND (s.absolute_deadline IS NULL OR now < s.absolute_deadline)
         ORDER BY s.id
           FOR NO KEY UPDATE);
    RETURN "atomic_session".bury(locked, now);
END $$;
