-- Signing in with others (services/accounts/sign_in.py). A sign-in lives for ten minutes: its secrets as hashes, what must be read again
-- sealed with PACELINE_SEALING_KEYS, and, once its provider has said who it is, what it said.
CREATE TABLE sign_ins (
    id              uuid PRIMARY KEY,
    provider        text NOT NULL,
    secret_hash     bytea NOT NULL CHECK (octet_length(secret_hash) = 32),
    state_hash      bytea NOT NULL CHECK (octet_length(state_hash) = 32),
    sealed          bytea NOT NULL,
    return_url      text NOT NULL,
    device          text NOT NULL,
    role            text NOT NULL CHECK (role IN ('member', 'coach')),
    began_at        timestamptz NOT NULL,
    state           text NOT NULL CHECK (state IN ('begun', 'returned', 'asking', 'proven', 'failed')),
    account_id      uuid REFERENCES accounts (id) ON DELETE CASCADE,
    login_id        uuid REFERENCES logins (id) ON DELETE CASCADE,
    code            bytea,
    asked_at        timestamptz,
    failure         text,
    issuer          text,
    subject         text,
    email           text,
    email_verified  boolean,
    called          text
);
CREATE INDEX sign_ins_returned ON sign_ins (began_at) WHERE state = 'returned';
CREATE INDEX sign_ins_by_age ON sign_ins (began_at);
CREATE INDEX sign_ins_of_account ON sign_ins (account_id) WHERE account_id IS NOT NULL;
CREATE INDEX sign_ins_of_login ON sign_ins (login_id) WHERE login_id IS NOT NULL;

-- Somebody as a provider knows them: (issuer, subject), never the address.
CREATE TABLE identities (
    id              uuid PRIMARY KEY,
    issuer          text NOT NULL,
    subject         text NOT NULL,
    account_id      uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    provider        text NOT NULL,
    email           text,
    linked_at       timestamptz NOT NULL,
    used_at         timestamptz NOT NULL,
    UNIQUE (issuer, subject)
);
CREATE INDEX identities_of_account ON identities (account_id);

-- What issuers publish, as it was sent. Workers read it: each hour, and when somebody wants it newer, twice a minute at most.
CREATE TABLE issuers (
    issuer          text PRIMARY KEY,
    metadata        bytea,
    keys            bytea,
    fetched_at      timestamptz,
    tried_at        timestamptz,
    wanted_at       timestamptz
);
