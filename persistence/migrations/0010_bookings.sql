-- Classes that can be booked beforehand, what they come of, and who has a place.

-- Classes that come again. `made_through`: the day of their own calendar up to which all of them have been offered.
CREATE TABLE class_series (
    id              uuid PRIMARY KEY,
    coach_id        uuid NOT NULL REFERENCES accounts (id),
    key             text NOT NULL,
    rule            jsonb NOT NULL,
    terms           jsonb NOT NULL,
    created_at      timestamptz NOT NULL,
    made_through    date NOT NULL,
    ended_at        timestamptz,
    UNIQUE (coach_id, key)
);
CREATE INDEX class_series_growing ON class_series (made_through) WHERE ended_at IS NULL;

-- An offer becomes the class of the same id when its doors open. Its row is the lock under which places are given.
CREATE TABLE class_offers (
    id              uuid PRIMARY KEY,
    coach_id        uuid NOT NULL REFERENCES accounts (id),
    key             text NOT NULL,
    series_id       uuid REFERENCES class_series (id),
    starts_at       timestamptz NOT NULL,
    terms           jsonb NOT NULL,
    created_at      timestamptz NOT NULL,
    called_off_at   timestamptz,
    UNIQUE (coach_id, key)
);
CREATE INDEX class_offers_by_start ON class_offers (starts_at, id) WHERE called_off_at IS NULL;
CREATE INDEX class_offers_of_coach ON class_offers (coach_id, starts_at, id) WHERE called_off_at IS NULL;

-- `n` is the number of a booking in its class, and the order of the waitlist.
CREATE TABLE class_bookings (
    id              uuid PRIMARY KEY,
    class_id        uuid NOT NULL REFERENCES class_offers (id) ON DELETE CASCADE,
    account_id      uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    key             text NOT NULL,
    n               integer NOT NULL,
    state           text NOT NULL CHECK (state IN ('confirmed', 'waitlisted', 'cancelled')),
    booked_at       timestamptz NOT NULL,
    promoted_at     timestamptz,
    cancelled_at    timestamptz,
    cancelled_by    text CHECK (cancelled_by IN ('member', 'coach', 'called_off')),
    UNIQUE (account_id, key),
    UNIQUE (class_id, n),
    CHECK ((state = 'cancelled') = (cancelled_at IS NOT NULL)),
    CHECK ((cancelled_at IS NULL) = (cancelled_by IS NULL))
);
-- Whatever the program thinks, nobody has two places in one class.
CREATE UNIQUE INDEX class_bookings_one_stands ON class_bookings (class_id, account_id) WHERE state <> 'cancelled';
CREATE INDEX class_bookings_confirmed ON class_bookings (class_id, account_id) WHERE state = 'confirmed';
CREATE INDEX class_bookings_waiting ON class_bookings (class_id, n) WHERE state = 'waitlisted';
CREATE INDEX class_bookings_of_account ON class_bookings (account_id, id);
