-- name: run
-- Parameters and result: see migrations/0003_commands.sql.
SELECT * FROM "atomic_session".run($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13);

-- name: update_one
-- Parameters and result: see migrations/0005_plain_updates.sql.
SELECT "atomic_session".update_one($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13);

-- name: update_many
-- Parameters and result: see migrations/0005_plain_updates.sql.
SELECT * FROM "atomic_session".update_many($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13);

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
-- Result: what the account may not do, and must.
SELECT needed
  FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS needed
 WHERE NOT has_table_privilege('"atomic_session".records', needed);
