-- How members of a class are shown to the others, and what they have agreed to.

-- What somebody has chosen for the classes that they will join. No row: everything, as before there was a choice.
CREATE TABLE showing_defaults (
    account_id      uuid PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
    mode            text NOT NULL CHECK (mode IN ('full', 'zone', 'alias', 'coach', 'hidden')),
    alias           text NOT NULL DEFAULT '',
    chosen_at       timestamptz NOT NULL
);

-- `showing_revision` counts the decisions; 0: none was ever made.
ALTER TABLE class_members
    ADD COLUMN showing_mode text NOT NULL DEFAULT 'full'
        CHECK (showing_mode IN ('full', 'zone', 'alias', 'coach', 'hidden')),
    ADD COLUMN showing_alias text NOT NULL DEFAULT '',
    ADD COLUMN showing_revision integer NOT NULL DEFAULT 0;

-- The ledger. Lines are added and ended, never changed otherwise. `class_id` NULL: for every class joined from then on.
CREATE TABLE consents (
    id              uuid PRIMARY KEY,
    account_id      uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    class_id        uuid REFERENCES classes (id) ON DELETE CASCADE,
    purpose         text NOT NULL CHECK (purpose IN ('name', 'heart_rate', 'zone', 'score')),
    audience        text NOT NULL CHECK (audience IN ('room', 'coach')),
    version         smallint NOT NULL,
    given_at        timestamptz NOT NULL,
    withdrawn_at    timestamptz CHECK (withdrawn_at >= given_at)
);
CREATE INDEX consents_of_account ON consents (account_id, class_id, given_at);
-- Nobody agrees twice to the same at one time.
CREATE UNIQUE INDEX consents_standing ON consents (account_id, class_id, purpose) NULLS NOT DISTINCT WHERE withdrawn_at IS NULL;
