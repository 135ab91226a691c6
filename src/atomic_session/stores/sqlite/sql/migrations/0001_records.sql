-- Records of sessions, one row each.
--
-- Instants are whole milliseconds since the Unix epoch.  `data` is one canonical JSON object and
-- stands last, so that a statement about a record alone never reads the pages it spills into.
-- `purge_at` is the deadline rounded up to the hour: the index on it changes once an hour, and
-- not at every update.

CREATE TABLE atomic_session (
    id                TEXT    PRIMARY KEY,
    digest            BLOB    NOT NULL,
    rev               INTEGER NOT NULL,
    created           INTEGER NOT NULL,
    last_used         INTEGER NOT NULL,
    renew_at          INTEGER NOT NULL,
    idle_deadline     INTEGER NOT NULL,
    absolute_deadline INTEGER,
    max_age           INTEGER,
    owner             TEXT,
    authenticated_at  INTEGER,
    previous_digest   BLOB,
    previous_until    INTEGER NOT NULL,
    grace_until       INTEGER NOT NULL,
    destroyed         INTEGER NOT NULL,
    purge_at          INTEGER NOT NULL,
    data              BLOB    NOT NULL
) STRICT;

CREATE INDEX atomic_session_owner ON atomic_session (owner) WHERE owner IS NOT NULL;

CREATE INDEX atomic_session_purge ON atomic_session (purge_at);
