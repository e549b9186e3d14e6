-- What is about somebody's body lies sealed under a key of their account (services/privacy/vault.py). `wrapped` is that key under
-- one of PACELINE_SEALING_KEYS, of which its first four bytes say which.
CREATE TABLE data_keys (
    account_id      uuid PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
    wrapped         bytea NOT NULL,
    made_at         timestamptz NOT NULL
);
CREATE INDEX data_keys_by_wrapping ON data_keys (substring(wrapped FROM 1 FOR 4));

-- A row is sealed, or plain as it was before, or both are null. A pass (below) seals what is plain.
ALTER TABLE accounts ADD COLUMN profile_sealed bytea;
ALTER TABLE safety_choices ADD COLUMN limit_sealed bytea;
ALTER TABLE workouts
    ADD COLUMN physiology_sealed bytea,
    ALTER COLUMN physiology DROP NOT NULL,
    ADD CONSTRAINT workouts_have_a_body CHECK (num_nonnulls(physiology, physiology_sealed) = 1) NOT VALID;
ALTER TABLE sample_batches
    ADD COLUMN sealed bytea,
    ALTER COLUMN t DROP NOT NULL,
    ALTER COLUMN bpm DROP NOT NULL,
    ALTER COLUMN rr DROP NOT NULL,
    ALTER COLUMN rr_n DROP NOT NULL,
    ADD CONSTRAINT sample_batches_sealed_or_plain
        CHECK (num_nonnulls(t, bpm, rr, rr_n) = CASE WHEN sealed IS NULL THEN 4 ELSE 0 END) NOT VALID;

-- How far each table has been gone through: `after` is the key of the last row as JSON, null before the first; `rows` how many were
-- sealed. `ended_at` null: there may be more.
CREATE TABLE sealing_passes (
    of_table        text PRIMARY KEY,
    after           text,
    rows            bigint NOT NULL DEFAULT 0,
    ended_at        timestamptz
);
