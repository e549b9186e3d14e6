-- Third-party apps and what they were lent, and keys for one's own scripts (docs/systems/apps.md). A grant and a key are each a login: it is
-- the login that is ended. Of everything secret only the SHA-256 is here; there is nothing to guess in 256 random bits.
CREATE TABLE apps (
    id              uuid PRIMARY KEY,
    owner_id        uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    name            text NOT NULL,
    kind            text NOT NULL CHECK (kind IN ('confidential', 'public')),
    redirect_uris   text[] NOT NULL,
    created_at      timestamptz NOT NULL
);
CREATE INDEX apps_of_owner ON apps (owner_id);

-- Good until `until`, if that is not NULL; during a rotation there are two.
CREATE TABLE app_secrets (
    secret_hash     bytea PRIMARY KEY,
    app_id          uuid NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    made_at         timestamptz NOT NULL,
    until           timestamptz
);
CREATE INDEX app_secrets_of_app ON app_secrets (app_id);

-- `login_id` is what came of the code. A used one stays for a while: used again, it betrays a theft.
CREATE TABLE app_codes (
    code_hash       bytea PRIMARY KEY,
    app_id          uuid NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    account_id      uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    redirect_uri    text NOT NULL,
    scopes          text[] NOT NULL,
    challenge       text NOT NULL,
    expires_at      timestamptz NOT NULL,
    used_at         timestamptz,
    login_id        uuid REFERENCES logins (id) ON DELETE CASCADE
);
CREATE INDEX app_codes_by_expiry ON app_codes (expires_at);
CREATE INDEX app_codes_of_app ON app_codes (app_id);
CREATE INDEX app_codes_of_account ON app_codes (account_id);
CREATE INDEX app_codes_of_login ON app_codes (login_id);

CREATE TABLE app_grants (
    login_id        uuid PRIMARY KEY REFERENCES logins (id) ON DELETE CASCADE,
    app_id          uuid NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    account_id      uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    scopes          text[] NOT NULL,
    granted_at      timestamptz NOT NULL
);
CREATE INDEX app_grants_of_account ON app_grants (account_id);
CREATE INDEX app_grants_of_app ON app_grants (app_id);

CREATE TABLE app_refresh_tokens (
    token_hash      bytea PRIMARY KEY,
    login_id        uuid NOT NULL REFERENCES app_grants (login_id) ON DELETE CASCADE,
    issued_at       timestamptz NOT NULL,
    expires_at      timestamptz NOT NULL,
    used_at         timestamptz
);
CREATE INDEX app_refresh_tokens_of_login ON app_refresh_tokens (login_id);
CREATE INDEX app_refresh_tokens_by_expiry ON app_refresh_tokens (expires_at);

CREATE TABLE api_keys (
    id              uuid PRIMARY KEY,
    account_id      uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    login_id        uuid NOT NULL REFERENCES logins (id) ON DELETE CASCADE,
    name            text NOT NULL,
    scopes          text[] NOT NULL,
    created_at      timestamptz NOT NULL,
    expires_at      timestamptz,
    used_at         timestamptz
);
CREATE INDEX api_keys_of_account ON api_keys (account_id);
CREATE INDEX api_keys_of_login ON api_keys (login_id);

CREATE TABLE api_key_secrets (
    secret_hash     bytea PRIMARY KEY,
    key_id          uuid NOT NULL REFERENCES api_keys (id) ON DELETE CASCADE,
    made_at         timestamptz NOT NULL,
    until           timestamptz
);
CREATE INDEX api_key_secrets_of_key ON api_key_secrets (key_id);
