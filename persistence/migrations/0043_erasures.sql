-- Who has asked that everything about them goes. Until `due_at` they may take it back, and the row goes. Then their account is
-- closed at `closed_at`, and emptied: `stage` is how far that is (services/privacy/erasure.py). The row stays; it says nothing of
-- who they were.
CREATE TABLE erasures (
    account_id      uuid PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
    asked_at        timestamptz NOT NULL,
    due_at          timestamptz NOT NULL,
    closed_at       timestamptz,
    stage           integer NOT NULL DEFAULT 0,
    ended_at        timestamptz
);
CREATE INDEX erasures_due ON erasures (due_at) WHERE ended_at IS NULL;
