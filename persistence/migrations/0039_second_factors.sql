-- What an account has besides its password (services/accounts/second_factor.py).

-- An authenticator app. `sealed` is its secret, opened only with PACELINE_SEALING_KEYS. It counts once it is confirmed. No code of
-- `used_step` or an earlier step is good any more. `guesses` is what is left of the allowance, as of `guessed_at`.
CREATE TABLE totps (
    account_id      uuid PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
    sealed          bytea NOT NULL,
    made_at         timestamptz NOT NULL,
    confirmed_at    timestamptz,
    used_step       bigint,
    guesses         double precision NOT NULL,
    guessed_at      timestamptz NOT NULL
);

-- `name` says which of an account's codes it is; `code_hash` is Argon2id, as of passwords.
CREATE TABLE recovery_codes (
    account_id      uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    name            text NOT NULL,
    code_hash       text NOT NULL,
    made_at         timestamptz NOT NULL,
    used_at         timestamptz,
    PRIMARY KEY (account_id, name)
);

-- `credential` is what the authenticator said of it: its id and public key, of which `credential_id` is found by.
CREATE TABLE passkeys (
    id              uuid PRIMARY KEY,
    account_id      uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    name            text NOT NULL,
    credential_id   bytea NOT NULL UNIQUE CHECK (octet_length(credential_id) BETWEEN 1 AND 1023),
    credential      bytea NOT NULL,
    signatures      bigint NOT NULL,
    made_at         timestamptz NOT NULL,
    used_at         timestamptz
);
CREATE INDEX passkeys_of_account ON passkeys (account_id);

-- Challenges that were answered, until they would be too old anyway.
CREATE TABLE used_challenges (
    challenge_hash  bytea PRIMARY KEY CHECK (octet_length(challenge_hash) = 32),
    until           timestamptz NOT NULL
);
CREATE INDEX used_challenges_by_age ON used_challenges (until);

-- Log-ins whose password was right and which wait for a second factor. `password_mark` changes with the password.
CREATE TABLE waiting_logins (
    token_hash      bytea PRIMARY KEY CHECK (octet_length(token_hash) = 32),
    account_id      uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    device          text NOT NULL,
    password_mark   bytea NOT NULL,
    made_at         timestamptz NOT NULL,
    until           timestamptz NOT NULL,
    guesses         smallint NOT NULL DEFAULT 0
);
CREATE INDEX waiting_logins_of_account ON waiting_logins (account_id, made_at);
