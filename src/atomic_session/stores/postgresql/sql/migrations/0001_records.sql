-- Records of sessions, one row each.
--
-- Every migration names the schema "atomic_session"; the store puts the one of the user's choice in its place.
--
-- Instants are whole milliseconds since the Unix epoch.  `owner` is written as names in the data are: no control
-- character, and no NUL, can be in it.  `data` is a JSON object.  In it an integer has scale 0 and a float a scale of
-- at least 1, so that each comes back as what it was.  `size` is never less than the bytes of the text of `data`.
-- Autovacuum comes often: its work is small then.

CREATE TABLE "atomic_session".records (
    id                text    COLLATE "C" PRIMARY KEY,
    digest            bytea   NOT NULL,
    rev               bigint  NOT NULL,
    created           bigint  NOT NULL,
    last_used         bigint  NOT NULL,
    renew_at          bigint  NOT NULL,
    idle_deadline     bigint  NOT NULL,
    absolute_deadline bigint,
    max_age           bigint,
    owner             text    COLLATE "C",
    authenticated_at  bigint,
    previous_digest   bytea,
    previous_until    bigint  NOT NULL,
    grace_until       bigint  NOT NULL,
    destroyed         boolean NOT NULL,
    purge_at          bigint  NOT NULL,
    size              bigint  NOT NULL,
    data              jsonb   NOT NULL
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);

CREATE INDEX records_owner ON "atomic_session".records (owner) WHERE owner IS NOT NULL;

CREATE INDEX records_purge ON "atomic_session".records (purge_at);

-- When a session that ends then may be removed: the deadline rounded up to the hour.  So an update leaves every indexed
-- column as it is, and can stay on its page (fillfactor leaves room there).
CREATE FUNCTION "atomic_session".purge_at_of(deadline bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT (deadline + 3599999) / 3600000 * 3600000
$$;
