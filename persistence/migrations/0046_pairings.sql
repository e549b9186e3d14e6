-- Screens that ask to be let in (docs/systems/pairing.md), for ten minutes. Of the device code only the SHA-256 is here; the user code opens
-- nothing to whoever has no class to show. `network` is where the screen asks from, as coarse as the audit has it.
CREATE TABLE pairings (
    device_hash  bytea PRIMARY KEY,
    user_code    text NOT NULL UNIQUE,
    network      text NOT NULL,
    asked_at     timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    interval_s   integer NOT NULL,
    polled_at    timestamptz,
    state        text NOT NULL CHECK (state IN ('waiting', 'agreed', 'refused')),
    class_id     uuid REFERENCES classes (id) ON DELETE CASCADE,
    CHECK ((state = 'agreed') = (class_id IS NOT NULL))
);
CREATE INDEX pairings_by_expiry ON pairings (expires_at);
CREATE INDEX pairings_of_class ON pairings (class_id) WHERE class_id IS NOT NULL;
