-- Who wants to be watched over. Without a row: nobody.
CREATE TABLE safety_choices (
    account_id      uuid PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
    is_on           boolean NOT NULL,
    limit_bpm       smallint CHECK (limit_bpm BETWEEN 90 AND 230),
    changed_at      timestamptz NOT NULL
);

-- Somebody was asked whether they are all right. `revision` grows with every change; a step that was planned at another one does
-- nothing. When its class goes, the incident stays.
CREATE TABLE safety_incidents (
    id              uuid PRIMARY KEY,
    account_id      uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    class_id        uuid REFERENCES classes (id) ON DELETE SET NULL,
    kind            text NOT NULL CHECK (kind IN ('over_limit', 'no_recovery', 'signal_lost', 'rate_fell')),
    bpm             smallint NOT NULL,
    found_at        timestamptz NOT NULL,
    opened_at       timestamptz NOT NULL,
    state           text NOT NULL CHECK (
        state IN ('prompted', 'cancelled', 'coach_told', 'acknowledged', 'contact_told', 'closed')
    ),
    revision        integer NOT NULL,
    due_at          timestamptz,
    coach_told_at   timestamptz,
    acknowledged_by uuid REFERENCES accounts (id) ON DELETE SET NULL,
    contact_told_at timestamptz,
    ended_at        timestamptz,
    ended_by        text CHECK (ended_by IN ('athlete', 'nobody_to_tell', 'time')),
    CHECK ((ended_at IS NULL) = (ended_by IS NULL)),
    CHECK ((ended_at IS NULL) = (due_at IS NOT NULL)),
    CHECK ((ended_at IS NULL) = (state NOT IN ('cancelled', 'closed')))
);
-- Whatever the program thinks, nobody is asked two things at once.
CREATE UNIQUE INDEX safety_incidents_open ON safety_incidents (account_id) WHERE ended_at IS NULL;
CREATE INDEX safety_incidents_of_account ON safety_incidents (account_id, opened_at DESC);
CREATE INDEX safety_incidents_by_age ON safety_incidents (ended_at) WHERE ended_at IS NOT NULL;
