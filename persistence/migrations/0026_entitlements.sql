-- What accounts are entitled to. One row per grant: granting again closes the row there is and adds another, so the rows tell what
-- somebody had at any time (services/accounts/entitlement.py). `source` is who or what gives it.
CREATE TABLE entitlements (
    id              uuid PRIMARY KEY,
    account_id      uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    name            text NOT NULL,
    source          text NOT NULL,
    from_at         timestamptz NOT NULL,
    until_at        timestamptz,
    granted_at      timestamptz NOT NULL,
    withdrawn_at    timestamptz,
    CHECK (until_at IS NULL OR until_at > from_at)
);
-- Whatever the program thinks, a source gives a name once.
CREATE UNIQUE INDEX entitlements_one_stands ON entitlements (account_id, name, source) WHERE withdrawn_at IS NULL;
CREATE INDEX entitlements_of_account ON entitlements (account_id, id);

-- The entitlement that is needed to come in, null for none. That of an offer stands in its terms.
ALTER TABLE classes ADD COLUMN needs text;

-- Somebody whose turn it was and who lacked the entitlement lost their place on the waitlist.
ALTER TABLE class_bookings
    DROP CONSTRAINT class_bookings_cancelled_by_check,
    ADD CONSTRAINT class_bookings_cancelled_by_check CHECK (cancelled_by IN ('member', 'coach', 'called_off', 'entitlement'));
