-- Challenges over days and weeks, and the score log that their tables are derived from.

-- `seq` counts the entries of the log and `head` is the hash of the last one; whoever appends holds the row. `numbers` were given
-- out to members, `members` of them are in.
CREATE TABLE challenges (
    id              uuid PRIMARY KEY,
    code            text NOT NULL UNIQUE,
    title           text NOT NULL,
    owner_id        uuid REFERENCES accounts (id) ON DELETE SET NULL,
    rules           jsonb NOT NULL,
    created_at      timestamptz NOT NULL,
    finished_at     timestamptz,
    numbers         integer NOT NULL DEFAULT 0,
    members         integer NOT NULL DEFAULT 0,
    seq             bigint NOT NULL DEFAULT 0,
    head            bytea NOT NULL
);
CREATE INDEX challenges_of_owner ON challenges (owner_id, created_at DESC);

-- `n` is the member's number in the log, `zone` the time zone of their days, `team` an index into the rules' teams. `value`, `tie` and
-- `seq` (the last entry about this member) follow the log. A member outlives their account: the log goes on naming the number.
CREATE TABLE challenge_members (
    challenge_id    uuid NOT NULL REFERENCES challenges (id) ON DELETE CASCADE,
    n               integer NOT NULL,
    account_id      uuid REFERENCES accounts (id) ON DELETE SET NULL,
    zone            text NOT NULL,
    team            smallint,
    joined_at       timestamptz NOT NULL,
    left_at         timestamptz,
    value           bigint NOT NULL DEFAULT 0,
    tie             bigint NOT NULL DEFAULT 0,
    seq             bigint NOT NULL,
    PRIMARY KEY (challenge_id, n),
    UNIQUE (challenge_id, account_id)
);
CREATE INDEX challenge_members_of_account ON challenge_members (account_id, challenge_id);
-- The table, best first. Descending by value and ascending otherwise, as `services/challenges/ranking.py` sorts.
CREATE INDEX challenge_members_by_place ON challenge_members (challenge_id, value DESC, tie, n) WHERE left_at IS NULL;
CREATE INDEX challenge_members_by_change ON challenge_members (challenge_id, seq);

-- The latest revision of each workout that counts.
CREATE TABLE challenge_scores (
    challenge_id    uuid NOT NULL,
    n               integer NOT NULL,
    workout_id      uuid NOT NULL,
    revision        integer NOT NULL,
    day             date NOT NULL,
    began_ms        bigint NOT NULL,
    ended_ms        bigint NOT NULL,
    value           bigint NOT NULL,
    PRIMARY KEY (challenge_id, n, workout_id),
    FOREIGN KEY (challenge_id, n) REFERENCES challenge_members ON DELETE CASCADE
);

-- The log. `body` are the very bytes that were hashed. Rows are only ever added.
CREATE TABLE challenge_log (
    challenge_id    uuid NOT NULL REFERENCES challenges (id) ON DELETE CASCADE,
    seq             bigint NOT NULL,
    body            bytea NOT NULL,
    hash            bytea NOT NULL,
    PRIMARY KEY (challenge_id, seq)
);
