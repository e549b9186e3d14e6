-- Accounts and logins, live classes, streams and their samples, workouts, facts and tasks.

CREATE TABLE accounts (
    id              uuid PRIMARY KEY,
    email           text NOT NULL UNIQUE CHECK (email = lower(email)),
    name            text NOT NULL,
    password_hash   text NOT NULL,
    roles           text[] NOT NULL,
    birth_date      date,
    sex             text CHECK (sex IN ('male', 'female')),
    mass_kg         real CHECK (mass_kg BETWEEN 20 AND 400),
    max_hr          smallint CHECK (max_hr BETWEEN 100 AND 250),
    rest_hr         smallint CHECK (rest_hr BETWEEN 25 AND 120),
    created_at      timestamptz NOT NULL
);

-- A login is a refresh-token family on one device.
CREATE TABLE logins (
    id              uuid PRIMARY KEY,
    account_id      uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    device          text NOT NULL,
    created_at      timestamptz NOT NULL,
    ended_at        timestamptz,
    end_reason      text
);
CREATE INDEX logins_of_account ON logins (account_id) WHERE ended_at IS NULL;

CREATE TABLE refresh_tokens (
    token_hash      bytea PRIMARY KEY,
    login_id        uuid NOT NULL REFERENCES logins (id) ON DELETE CASCADE,
    issued_at       timestamptz NOT NULL,
    expires_at      timestamptz NOT NULL,
    used_at         timestamptz
);
CREATE INDEX refresh_tokens_of_login ON refresh_tokens (login_id);
CREATE INDEX refresh_tokens_by_expiry ON refresh_tokens (expires_at);

CREATE TABLE classes (
    id              uuid PRIMARY KEY,
    code            text NOT NULL UNIQUE,
    title           text NOT NULL,
    coach_id        uuid NOT NULL REFERENCES accounts (id),
    created_at      timestamptz NOT NULL,
    ended_at        timestamptz,
    summary         jsonb,
    summarised_at   timestamptz
);
CREATE INDEX classes_live ON classes (created_at) WHERE ended_at IS NULL;
CREATE INDEX classes_of_coach ON classes (coach_id, created_at DESC);

-- `n` is the member's number on the board; `feed_epoch` counts the openings of streams that feed the member's row.
CREATE TABLE class_members (
    class_id        uuid NOT NULL REFERENCES classes (id) ON DELETE CASCADE,
    account_id      uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    n               integer NOT NULL,
    role            text NOT NULL CHECK (role IN ('coach', 'athlete', 'spectator')),
    joined_at       timestamptz NOT NULL,
    feed_epoch      integer NOT NULL DEFAULT 0,
    PRIMARY KEY (class_id, account_id),
    UNIQUE (class_id, n)
);

CREATE TABLE workouts (
    id              uuid PRIMARY KEY,
    account_id      uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    class_id        uuid REFERENCES classes (id) ON DELETE SET NULL,
    sport           text NOT NULL DEFAULT '',
    physiology      jsonb NOT NULL,
    created_at      timestamptz NOT NULL,
    finished_at     timestamptz,
    summary         jsonb,
    revision        integer NOT NULL DEFAULT 0
);
CREATE INDEX workouts_of_account ON workouts (account_id, created_at DESC);
CREATE INDEX workouts_of_class ON workouts (class_id) WHERE class_id IS NOT NULL;

-- The durable half of a stream. `next_seq` is its high-water mark: every sample before it is in sample_batches.
-- `epoch` is the fence: a commit that carries an older one changes nothing. `zone_ms` (ms in zone 0..5) is what the stream
-- earned for its class; with last_t and last_bpm the live effort goes on after a restart as if nothing had happened.
-- `clock_offset_ms` is wall clock minus device clock, as measured on arrival.
CREATE TABLE streams (
    id                uuid PRIMARY KEY,
    workout_id        uuid NOT NULL REFERENCES workouts (id) ON DELETE CASCADE,
    account_id        uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    class_id          uuid REFERENCES classes (id) ON DELETE SET NULL,
    device            text NOT NULL DEFAULT '',
    device_started_at timestamptz NOT NULL,
    opened_at         timestamptz NOT NULL,
    epoch             integer NOT NULL DEFAULT 1,
    feed_epoch        integer NOT NULL DEFAULT 0,
    next_seq          bigint NOT NULL DEFAULT 0,
    last_t            bigint,
    last_bpm          smallint,
    clock_offset_ms   bigint,
    zone_ms           bigint[] NOT NULL DEFAULT '{0,0,0,0,0,0}',
    last_sample_at    timestamptz,
    finished_at       timestamptz
);
CREATE INDEX streams_of_workout ON streams (workout_id);
CREATE INDEX streams_of_class ON streams (class_id) WHERE class_id IS NOT NULL;
CREATE INDEX streams_open ON streams (last_sample_at) WHERE finished_at IS NULL;

-- Samples `first_seq` and following, as parallel arrays: one row per stream and group commit, not one per sample.
-- `bpm` is null where the strap had no contact; `rr` holds all intervals in ms, `rr_n` how many of them belong to each sample.
CREATE TABLE sample_batches (
    stream_id       uuid NOT NULL REFERENCES streams (id) ON DELETE CASCADE,
    first_seq       bigint NOT NULL,
    received_at     timestamptz NOT NULL,
    t               bigint[] NOT NULL,
    bpm             smallint[] NOT NULL,
    rr              integer[] NOT NULL,
    rr_n            smallint[] NOT NULL,
    PRIMARY KEY (stream_id, first_seq)
);

-- Facts waiting to leave. Only the relay reads it; rows go when the bus has confirmed them.
CREATE TABLE outbox (
    id              uuid PRIMARY KEY,
    type            text NOT NULL,
    aggregate_id    uuid NOT NULL,
    envelope        jsonb NOT NULL,
    created_at      timestamptz NOT NULL
);

-- Facts already handled, per consumer.
CREATE TABLE inbox (
    consumer        text NOT NULL,
    fact_id         uuid NOT NULL,
    handled_at      timestamptz NOT NULL,
    PRIMARY KEY (consumer, fact_id)
);
CREATE INDEX inbox_by_age ON inbox (handled_at);

-- The Postgres task bus: one row per (queue, fact) until it is handled or parked.
CREATE TABLE tasks (
    queue           text NOT NULL,
    fact_id         uuid NOT NULL,
    envelope        jsonb NOT NULL,
    attempt         integer NOT NULL DEFAULT 0,
    due_at          timestamptz NOT NULL,
    parked_at       timestamptz,
    reason          text,
    PRIMARY KEY (queue, fact_id)
);
CREATE INDEX tasks_due ON tasks (queue, due_at) WHERE parked_at IS NULL;
