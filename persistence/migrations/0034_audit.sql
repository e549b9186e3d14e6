-- The audit (docs/systems/audit.md). An entry waits in audit_waiting from the commit that it tells of, for a moment, until a linker gives
-- it its place in audit_log, which only grows. Accounts stand in the log by pseudonyms; audit_pseudonyms says which is whose, and an
-- erasure takes that row away.
CREATE TABLE audit_waiting (
    id              uuid PRIMARY KEY,
    at              timestamptz NOT NULL,
    actor_kind      text NOT NULL,
    actor_id        uuid,
    login_id        uuid,
    app_id          uuid,
    name            text NOT NULL,
    network         text NOT NULL,
    act             text NOT NULL,
    account_id      uuid,
    thing_kind      text NOT NULL,
    thing           text NOT NULL,
    reason          text NOT NULL,
    data            text NOT NULL
);

-- `actor` and `about` are pseudonyms. What is hashed is in services/audit/chain.py. A hash is followed once, so the chain cannot fork.
CREATE TABLE audit_log (
    position        bigint PRIMARY KEY CHECK (position > 0),
    id              uuid NOT NULL UNIQUE,
    at              timestamptz NOT NULL,
    actor_kind      text NOT NULL,
    actor           uuid,
    login_id        uuid,
    app_id          uuid,
    name            text NOT NULL,
    network         text NOT NULL,
    act             text NOT NULL,
    about           uuid,
    thing_kind      text NOT NULL,
    thing           text NOT NULL,
    reason          text NOT NULL,
    data            text NOT NULL,
    previous        bytea NOT NULL UNIQUE CHECK (octet_length(previous) = 32),
    hash            bytea NOT NULL UNIQUE CHECK (octet_length(hash) = 32)
);
CREATE INDEX audit_log_by_actor ON audit_log (actor, position) WHERE actor IS NOT NULL;
CREATE INDEX audit_log_by_about ON audit_log (about, position) WHERE about IS NOT NULL;
CREATE INDEX audit_log_by_act ON audit_log (act, position);

CREATE TABLE audit_pseudonyms (
    account_id      uuid PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
    pseudonym       uuid NOT NULL UNIQUE
);

-- Kept here too, so that a check needs no file; the ones that prove something against whoever changes the database lie outside it.
CREATE TABLE audit_checkpoints (
    position        bigint NOT NULL,
    hash            bytea NOT NULL,
    at              timestamptz NOT NULL,
    public          bytea NOT NULL CHECK (octet_length(public) = 32),
    signature       bytea NOT NULL CHECK (octet_length(signature) = 64),
    PRIMARY KEY (position, at)
);

CREATE FUNCTION audit_refuses() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit only grows: % of % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege', HINT = 'Add an entry that says what was wrong.';
END $$;

-- An entry leaves the waiting ones for the log, and in no other way.
CREATE FUNCTION audit_lets_go() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM audit_log WHERE audit_log.id = OLD.id) THEN
        RAISE EXCEPTION 'the audit only grows: entry % has no place in the log yet', OLD.id USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN OLD;
END $$;

CREATE TRIGGER audit_log_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuses();
CREATE TRIGGER audit_checkpoints_only_grow BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_checkpoints
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuses();
CREATE TRIGGER audit_waiting_is_not_changed BEFORE UPDATE OR TRUNCATE ON audit_waiting
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuses();
CREATE TRIGGER audit_waiting_goes_to_the_log BEFORE DELETE ON audit_waiting
    FOR EACH ROW EXECUTE FUNCTION audit_lets_go();
-- Also where triggers are otherwise left out (session_replication_role).
ALTER TABLE audit_log ENABLE ALWAYS TRIGGER audit_log_only_grows;
ALTER TABLE audit_checkpoints ENABLE ALWAYS TRIGGER audit_checkpoints_only_grow;
ALTER TABLE audit_waiting ENABLE ALWAYS TRIGGER audit_waiting_is_not_changed;
ALTER TABLE audit_waiting ENABLE ALWAYS TRIGGER audit_waiting_goes_to_the_log;

-- Not granted either: not even to the role that owns the tables, which is the one the program has. A superuser, as the local PostgreSQL
-- has, is kept out by the triggers alone.
REVOKE UPDATE, DELETE, TRUNCATE ON audit_log, audit_checkpoints FROM PUBLIC, CURRENT_USER;
REVOKE UPDATE, TRUNCATE ON audit_waiting FROM PUBLIC, CURRENT_USER;
