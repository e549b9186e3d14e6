-- Accounts that may not be used. One row per suspension: it holds until until_at (null: no end), or until it is lifted.
CREATE TABLE suspensions (
    id              uuid PRIMARY KEY,
    account_id      uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    reason          text NOT NULL,
    from_at         timestamptz NOT NULL,
    until_at        timestamptz,
    lifted_at       timestamptz,
    CHECK (until_at IS NULL OR until_at > from_at)
);
-- Whatever the program thinks, an account is suspended once. The other index is for erasing an account.
CREATE UNIQUE INDEX suspensions_one_stands ON suspensions (account_id) WHERE lifted_at IS NULL;
CREATE INDEX suspensions_of_account ON suspensions (account_id);

-- What has ended in the last while: every gateway reads it every few seconds (gateway/sockets/revocation.py).
CREATE INDEX logins_ended ON logins (ended_at, id) WHERE ended_at IS NOT NULL;
