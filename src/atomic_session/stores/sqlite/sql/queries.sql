-- name: read
-- Parameters: id.  Result: the record's columns in the order of `Record`, then the data.
SELECT id, digest, rev, created, last_used, renew_at, idle_deadline, absolute_deadline, max_age, owner,
       authenticated_at, previous_digest, previous_until, grace_until, destroyed, data
  FROM atomic_session
 WHERE id = ?;

-- name: insert
-- Parameters: the record's columns in the order of `Record`, purge_at, data.
INSERT INTO atomic_session (
       id, digest, rev, created, last_used, renew_at, idle_deadline, absolute_deadline, max_age, owner,
       authenticated_at, previous_digest, previous_until, grace_until, destroyed, purge_at, data)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: update
-- Parameters: rev, last_used, renew_at, idle_deadline, data, id.
-- What an update changes, and nothing that is indexed.
UPDATE atomic_session
   SET rev = ?, last_used = ?, renew_at = ?, idle_deadline = ?, data = ?
 WHERE id = ?;

-- name: rewrite
-- Parameters: the record's columns in the order of `Record` without id, purge_at, data, id.
UPDATE atomic_session
   SET digest = ?, rev = ?, created = ?, last_used = ?, renew_at = ?, idle_deadline = ?, absolute_deadline = ?,
       max_age = ?, owner = ?, authenticated_at = ?, previous_digest = ?, previous_until = ?, grace_until = ?,
       destroyed = ?, purge_at = ?, data = ?
 WHERE id = ?;

-- name: live_of_owner
-- Parameters: owner, now.  Result: records without data, the latest used first.
SELECT id, digest, rev, created, last_used, renew_at, idle_deadline, absolute_deadline, max_age, owner,
       authenticated_at, previous_digest, previous_until, grace_until, destroyed
  FROM atomic_session
 WHERE owner = ?1 AND idle_deadline > ?2 AND (absolute_deadline IS NULL OR absolute_deadline > ?2)
 ORDER BY last_used DESC, id;

-- name: purge
-- Parameters: now, limit.
DELETE FROM atomic_session
 WHERE rowid IN (SELECT rowid FROM atomic_session WHERE purge_at <= ? ORDER BY purge_at LIMIT ?);
