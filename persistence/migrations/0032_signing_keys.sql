-- The keys that sign access tokens, beside the one of the installation, which has a row only once it is to retire (without `sealed`: its
-- private part is not here). `public` is 32 bytes of Ed25519, `sealed` the private key, opened only with PACELINE_SEALING_KEYS
-- (services/accounts/keyring.py).
CREATE TABLE signing_keys (
    kid             text PRIMARY KEY,
    public          bytea NOT NULL CHECK (octet_length(public) = 32),
    sealed          bytea,
    signs_from      timestamptz NOT NULL,
    retires_at      timestamptz,
    made_at         timestamptz NOT NULL
);
