-- What is measured of somebody's body, with its history (services/accounts/vital.py). What a value says is sealed, or plain where
-- nothing is sealed.
CREATE TABLE vitals (
    id              uuid PRIMARY KEY,
    account_id      uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    noted_at        timestamptz NOT NULL,
    body            text,
    body_sealed     bytea,
    CHECK (num_nonnulls(body, body_sealed) = 1)
);
CREATE INDEX vitals_of_account ON vitals (account_id, id);
