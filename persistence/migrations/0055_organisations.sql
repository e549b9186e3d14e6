-- Organisations and who sits in them (docs/systems/organisations.md). One that was dissolved keeps its row, without anybody in it: classes
-- name it. How many sit is counted under the lock of its row.
CREATE TABLE organisations (
    id              uuid PRIMARY KEY,
    name            text NOT NULL,
    seats           integer NOT NULL CHECK (seats BETWEEN 1 AND 500),
    created_at      timestamptz NOT NULL,
    dissolved_at    timestamptz
);

CREATE TABLE organisation_members (
    organisation_id uuid NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
    account_id      uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    role            text NOT NULL CHECK (role IN ('owner', 'admin', 'coach', 'member')),
    joined_at       timestamptz NOT NULL,
    PRIMARY KEY (organisation_id, account_id)
);
CREATE INDEX organisation_members_of_account ON organisation_members (account_id);

-- What everybody in it is entitled to while they sit. Their grants stand in entitlements, with the organisation as their source.
CREATE TABLE organisation_entitlements (
    organisation_id uuid NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
    name            text NOT NULL,
    from_at         timestamptz NOT NULL,
    until_at        timestamptz,
    PRIMARY KEY (organisation_id, name),
    CHECK (until_at IS NULL OR until_at > from_at)
);

-- An invitation is a mail: its address, when it was asked for and whether it is over stand there, and it is forgotten with it.
CREATE TABLE organisation_invitations (
    id              uuid PRIMARY KEY REFERENCES account_mails (id) ON DELETE CASCADE,
    organisation_id uuid NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
    role            text NOT NULL CHECK (role IN ('admin', 'coach', 'member')),
    invited_by      uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE
);
CREATE INDEX organisation_invitations_of_organisation ON organisation_invitations (organisation_id);
CREATE INDEX organisation_invitations_by_account ON organisation_invitations (invited_by);

ALTER TABLE account_mails
    DROP CONSTRAINT account_mails_says_check,
    ADD CONSTRAINT account_mails_says_check CHECK (
        says IN ('register', 'confirm', 'reset', 'change', 'undo', 'moving', 'password', 'invite')
    ),
    DROP CONSTRAINT account_mails_check,
    ADD CONSTRAINT account_mails_check CHECK ((account_id IS NULL) = (says IN ('register', 'reset', 'invite')));

-- Classes in the name of an organisation; and the bookings that went with a seat.
CREATE INDEX class_offers_of_organisation ON class_offers ((terms ->> 'organisation'), starts_at)
    WHERE terms ->> 'organisation' IS NOT NULL;
ALTER TABLE class_bookings
    DROP CONSTRAINT class_bookings_cancelled_by_check,
    ADD CONSTRAINT class_bookings_cancelled_by_check CHECK (
        cancelled_by IN ('member', 'coach', 'called_off', 'entitlement', 'organisation')
    );
