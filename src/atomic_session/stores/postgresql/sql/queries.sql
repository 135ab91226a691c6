-- name: run
-- Parameters and result: see migrations/0003_commands.sql; each list as one text.
SELECT *
  FROM "atomic_session".run(
       "atomic_session".list($1), "atomic_session".list($2), "atomic_session".list($3)::bytea[],
       "atomic_session".list($4)::bigint[], "atomic_session".list($5)::bigint[], "atomic_session".list($6)::bigint[],
       "atomic_session".list($7), "atomic_session".list($8)::integer[], $9, $10, $11, $12, $13);

-- name: update_one
-- Parameters and result: those of a plain update, see migrations/0005_plain_updates.sql.
-- Within the millisecond of a renewal the next one is due where it was due already: so that is looked up.
UPDATE "atomic_session".records AS r
   SET rev = r.rev + 1, last_used = $3::bigint, size = r.size + $11::bigint,
       renew_at = CASE WHEN $3 < r.renew_at THEN r.renew_at ELSE $3 + $13::bigint END,
       idle_deadline = "atomic_session".idle_deadline_of($3, r.max_age, $12::bigint, r.absolute_deadline),
       purge_at = "atomic_session".purge_at_of(
           "atomic_session".idle_deadline_of($3, r.max_age, $12, r.absolute_deadline)),
       data = "atomic_session".updated(r.data, $5::text, $6::text, $7::bigint, $8::text)
 WHERE r.id = $1::text AND r.digest = $2::bytea AND NOT r.destroyed AND $3 < r.idle_deadline
   AND ($3 < r.renew_at OR r.max_age IS NULL) AND r.size + $11 <= $14::bigint
   AND "atomic_session".fits(r.data, $6, $9::text, $10::text, r.rev IS DISTINCT FROM $4::bigint)
RETURNING concat(CASE WHEN r.rev - 1 = $4 THEN r.data -> $6 ELSE r.data END),
          CASE WHEN r.renew_at = $3 + $13 THEN "atomic_session".was_due(r.id, $3) ELSE false END,
          r.rev, r.created, r.last_used, r.renew_at, r.idle_deadline, r.absolute_deadline, r.max_age, r.owner,
          r.authenticated_at, r.previous_digest, r.previous_until, r.grace_until, 1;

-- name: update_many
-- Parameters and result: see migrations/0005_plain_updates.sql; each list as one text.
SELECT *
  FROM "atomic_session".update_many(
       "atomic_session".list($1), "atomic_session".list($2)::bytea[], "atomic_session".list($3)::bigint[],
       "atomic_session".list($4)::bigint[], "atomic_session".list($5), "atomic_session".list($6),
       "atomic_session".list($7)::bigint[], "atomic_session".list($8), "atomic_session".list($9),
       "atomic_session".list($10), "atomic_session".list($11)::bigint[], $12, $13, $14);

-- name: take_turn
-- Parameters: owner, id, now.  Result: see migrations/0004_owners.sql.
SELECT "atomic_session".take_turn($1, $2, $3);

-- name: bury
-- Parameters: ids, now.
SELECT "atomic_session".bury($1, $2);

-- name: destroy_all
-- Parameters: owner, the id to keep, now.  Result: how many were ended.
SELECT "atomic_session".destroy_all($1, $2, $3);

-- name: live_of_owner
-- Parameters: owner, now.  Result: what may be seen of live sessions, the latest used first.
SELECT id, created, last_used, idle_deadline
  FROM "atomic_session".records
 WHERE owner = $1 AND $2 < idle_deadline AND (absolute_deadline IS NULL OR $2 < absolute_deadline)
 ORDER BY last_used DESC, id;

-- name: purge
-- Parameters: now, limit.  Result: how many were removed.
-- Rows that anybody holds are left for the next time: nobody waits for a purge, and it waits for nobody.
WITH gone AS (
    DELETE FROM "atomic_session".records
     WHERE id IN (
           SELECT id FROM "atomic_session".records
            WHERE purge_at <= $1
            ORDER BY purge_at
            LIMIT $2
              FOR UPDATE SKIP LOCKED)
    RETURNING 1)
SELECT count(*) FROM gone;

-- name: server
-- Result: what a server must be like: UTF-8, and its version.
SELECT current_setting('server_encoding'), current_setting('server_version_num')::integer;

-- name: is_migrated
-- Result: whether there is a table of migrations that may be read.
SELECT to_regclass('"atomic_session".migrations') IS NOT NULL;

-- name: version
-- Result: the number of the last migration.
SELECT coalesce(max(version), 0) FROM "atomic_session".migrations;

-- name: has_schema
-- Parameters: its name.
SELECT to_regnamespace($1) IS NOT NULL;

-- name: lock
-- Processes that start at once migrate one after the other.
SELECT pg_advisory_xact_lock(hashtextextended('"atomic_session"', 6022));

-- name: begin_migrations
CREATE TABLE IF NOT EXISTS "atomic_session".migrations (
    version integer PRIMARY KEY,
    applied timestamptz NOT NULL DEFAULT now()
);

-- name: note
-- Parameters: the number of a migration.
INSERT INTO "atomic_session".migrations (version) VALUES ($1);

-- name: rights
-- Result: what the account may not do with the table, and with functions (one tells for all), and must.
SELECT needed
  FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS needed
 WHERE NOT has_table_privilege('"atomic_session".records', needed)
 UNION ALL
SELECT 'EXECUTE'
  FROM pg_proc
 WHERE pronamespace = '"atomic_session"'::regnamespace AND proname = 'update_many'
   AND NOT has_function_privilege(oid, 'EXECUTE');
